/** Looks again and again until something holds. What a relay does takes up to a second: no turn of the event loop is spent on each look. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}
