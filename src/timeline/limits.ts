/** A larger note is not read: nothing that git-pitr writes comes near it. */
export const maxNoteBytes = 16 * 1024 * 1024;

/** Characters in texts of a note: what is written keeps to them, and what is longer is not read. */
export const maxMessage = 65_536;
export const maxReason = 2000;
export const maxTableName = 500;
