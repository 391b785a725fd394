/** What doctor found. */
export interface Finding {
  /** A word for programs: `timeline`, `chain`, `anchors`, `notes`, `object`, `lock`, `leftovers`, `restore`, `setting`. */
  kind: string;
  /** `damage` must be mended; a `warning` may lead to damage; `advice` is a matter of taste. */
  severity: 'damage' | 'warning' | 'advice';
  what: string;
  /** Why it matters. */
  reason: string;
  /** What to do about it: a sentence, or a command. */
  remedy: string;
  /** Set by `--repair`: what was done; absent for what was left. */
  repaired?: string;
}

/** A finding, and how it is mended where the program can. Gives what was done; undefined when it could not be. */
export interface Mendable {
  finding: Finding;
  mend?: () => Promise<string | undefined>;
}
