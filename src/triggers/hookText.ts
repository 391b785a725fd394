/** The text of hooks: how a call of ours gets into a script that somebody else wrote, and out of it again. */

/** What the person who reads the hook, and uninstalling, know our lines by. */
const mark = ' # git-pitr';

/** Quoted for a POSIX shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * The line that calls the dispatcher. It leaves standard input to the script. Only before a push the dispatcher must
 * see it (what is to be pushed): it is kept in a file, and given to the script afterwards.
 */
function callLine(dispatcher: string, name: string): string {
  const program = shellQuote(dispatcher);
  if (name !== 'pre-push')
    return `if [ -x ${program} ]; then ${program} ${name} "$@" </dev/null || :; fi${mark}\n`;
  return `if [ -x ${program} ] && git_pitr=$(mktemp); then cat >"$git_pitr"; ${program} ${name} "$@" <"$git_pitr" || { rm -f "$git_pitr"; exit 1; }; exec <"$git_pitr"; rm -f "$git_pitr"; fi${mark}\n`;
}

/** True for a script that a POSIX shell runs, in which a line of ours can stand. */
export function isShellScript(content: Buffer): boolean {
  const first = content.subarray(0, 200).toString('latin1').split('\n')[0] ?? '';
  return /^#!\s*(\/\S*\/)?(env\s+)?(\S*\/)?(sh|dash|bash|ksh|zsh)(\s+-\w+)*\s*$/.test(first);
}

/** A hook that does nothing but call the dispatcher; and then `original`, where there was one that is no shell script. */
export function ownHook(dispatcher: string, name: string, original?: string): Buffer {
  const rest = original === undefined ? '' : `exec ${shellQuote(original)} "$@"${mark}\n`;
  return Buffer.from(`#!/bin/sh\n${callLine(dispatcher, name)}${rest}`);
}

/** The script with our line right after its first. */
export function withCall(content: Buffer, dispatcher: string, name: string): Buffer {
  const lineEnd = content.indexOf(10);
  // Without a line end the first line is all there is; what is added must come off again, byte for byte.
  if (lineEnd === -1) return Buffer.concat([content, Buffer.from(`\n${callLine(dispatcher, name)}`)]);
  const at = lineEnd + 1;
  return Buffer.concat([
    content.subarray(0, at),
    Buffer.from(callLine(dispatcher, name)),
    content.subarray(at),
  ]);
}

/** The script without our lines, whatever else was done to it since. */
export function withoutCall(content: Buffer): Buffer {
  const text = content.toString('latin1');
  const lines = text.split('\n');
  const kept = lines.filter((line) => !line.endsWith(mark));
  return Buffer.from(kept.join('\n'), 'latin1');
}

/** True when the script calls this dispatcher. */
export function callsUs(content: Buffer, dispatcher: string, name: string): boolean {
  return content.includes(callLine(dispatcher, name));
}

/** True when a line of ours is in it, of this repository or another place. */
export function hasCall(content: Buffer): boolean {
  return content
    .toString('latin1')
    .split('\n')
    .some((line) => line.endsWith(mark));
}
