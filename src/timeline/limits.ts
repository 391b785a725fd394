/** A larger note is not read: nothing that git-pitr writes comes near it. */
export const maxNoteBytes = 16 * 1024 * 1024;
