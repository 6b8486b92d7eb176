/** Polls every 2 ms until a condition holds. A relay may take a second: polling in every tick would slow it down. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 2);
    });
  }
}
