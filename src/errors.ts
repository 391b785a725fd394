/**
 * The one error class of the library, and the exit codes of the command line (a contract: docs/exit-codes-and-json.md).
 */

/** What a process that ran git-pitr ends with. `status` follows the monitoring convention instead. */
export const ExitCode = {
  done: 0,
  failed: 1,
  usage: 2,
  partial: 3,
  refused: 4,
  noMatch: 5,
  busy: 6,
  integrity: 7,
  interruptedRestore: 8,
  interrupted: 130,
} as const;

export type ErrorKind = Exclude<keyof typeof ExitCode, 'done' | 'partial'>;

export interface PitrErrorOptions {
  /** What the person can do next, each one sentence or one command. */
  hints?: readonly string[];
  cause?: unknown;
  /** Facts for `--json` beside kind, message and hints (candidates of an ambiguous prefix, changed paths). */
  details?: Readonly<Record<string, unknown>>;
}

/** Every failure that git-pitr foresees. `message` says what happened, to what, and what was not changed. */
export class PitrError extends Error {
  readonly kind: ErrorKind;
  readonly hints: readonly string[];
  readonly details: Readonly<Record<string, unknown>>;

  constructor(kind: ErrorKind, message: string, options: PitrErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'PitrError';
    this.kind = kind;
    this.hints = options.hints ?? [];
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return ExitCode[this.kind];
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
