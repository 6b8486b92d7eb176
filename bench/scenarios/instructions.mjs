// The measured code of harness/instructions.mjs: only calls, the given number in one loop.
import { EVENT } from '../harness/sample-event.mjs';
import { howTo } from './publish.mjs';

export async function measure({ row, calls }) {
  const { publish } = await howTo(row).make();
  for (let call = 0; call < calls; call += 1) publish(EVENT);
  return { calls };
}
