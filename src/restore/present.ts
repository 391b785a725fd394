import type { Capture } from '../capture/capture.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { parseState, type RecordedState } from './target.ts';

/** What is there now, in the terms of a plan. */
export function presentState(capture: Capture, databases: readonly CapturedDatabase[] = []): RecordedState {
  return {
    commit: '',
    head: capture.head.commit ?? '',
    files: capture.files,
    staged: capture.staged,
    ...parseState(capture.state),
    skipped: new Set(capture.skipped.map(({ path }) => path)),
    databases: [...databases],
  };
}
