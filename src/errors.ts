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

/** What the machine said no to, in the words of the kernel or of git: the sentence for a person, and what helps. */
const machineErrors: readonly (readonly [RegExp, string, string])[] = [
  [
    /ENOSPC|No space left on device/,
    'The disk is full',
    'Make room and run the command again. What is recorded already is safe.',
  ],
  [
    /EDQUOT|Disk quota exceeded/,
    'The disk quota is used up',
    'Make room and run the command again. What is recorded already is safe.',
  ],
  [
    /EROFS|Read-only file system/,
    'The file system is read-only',
    'Reading works: git pitr list, show, and restore --into a folder elsewhere.',
  ],
  [
    /EACCES|EPERM|Permission denied|insufficient permission/,
    'Permission was denied',
    'Run the command as the owner of the repository, or give yourself the right to write there.',
  ],
  [
    /ENAMETOOLONG/,
    'A path is longer than the file system takes',
    'Choose a place with a shorter path, or leave the path out.',
  ],
];

/** Undefined for what is no refusal of the machine's. */
export function machineError(said: string): { what: string; hint: string } | undefined {
  const found = machineErrors.find(([pattern]) => pattern.test(said));
  return found === undefined ? undefined : { what: found[1], hint: found[2] };
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
