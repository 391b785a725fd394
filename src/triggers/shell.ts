import { shellQuote } from './hookText.ts';

/**
 * The shell function that takes a snapshot before git commands that destroy what no commit holds. It is the shell alone
 * that decides: every other git command starts no process but git.
 */

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

/**
 * Subcommands, and the arguments that make them destructive; none means always. Bundled letters count too (`-fdx`).
 * What stands alone is a word; `-f` a letter of an option; `--` that paths follow.
 */
const destructive: Readonly<Record<string, readonly string[]>> = {
  reset: ['--hard', '--merge', '--keep'],
  checkout: ['-f', '--force', '--', '.', '-B'],
  restore: [],
  switch: ['-f', '--force', '--discard-changes', '-C'],
  clean: ['-f', '--force', '-i', '--interactive'],
  stash: ['drop', 'clear', 'pop'],
  rebase: [],
  branch: ['-D', '-d', '--delete', '-M', '-f', '--force'],
  rm: ['-f', '--force'],
  worktree: ['remove'],
  'filter-branch': [],
  gc: ['--prune=now', '--prune=all'],
  reflog: ['expire', 'delete'],
  'update-ref': ['-d'],
  merge: ['--abort'],
  'cherry-pick': ['--abort', '--skip'],
  revert: ['--abort', '--skip'],
  am: ['--abort', '--skip'],
};

/** What is to be evaluated in a shell's start-up file. */
export function shellFunction(shell: Shell, node: string, program: string): string {
  return shell === 'fish' ? fishFunction(node, program) : posixFunction(node, program);
}

/** A pattern of `case` for one argument: a word as it is, a letter anywhere among the letters of an option. */
function pattern(word: string): string {
  if (/^-[A-Za-z]$/.test(word)) return `-${word.slice(1)}*|-[!-]*${word.slice(1)}*`;
  return word;
}

function posixFunction(node: string, program: string): string {
  const cases = Object.entries(destructive).map(([name, words]) => {
    if (words.length === 0) return `      ${name}) __pitr_risky=1; break ;;`;
    const listed = `${words.map(pattern).join('|')}) __pitr_risky=1; break ;;`;
    // `git checkout file` overwrites the file: a branch of that name costs a snapshot too many.
    const file = `*) if [ -e "$__pitr_folder/$__pitr_word" ]; then __pitr_risky=1; break; fi ;;`;
    return `      ${name}) case $__pitr_word in ${listed}${name === 'checkout' ? ` ${file}` : ''} esac ;;`;
  });
  return `# git-pitr: a snapshot before git commands that destroy what no commit holds.
git() {
  local __pitr_word __pitr_command='' __pitr_folder=. __pitr_value='' __pitr_risky=''
  for __pitr_word in "$@"; do
    case $__pitr_value in
      '') ;;
      -C) __pitr_folder=$__pitr_word; __pitr_value=; continue ;;
      *) __pitr_value=; continue ;;
    esac
    if [ -z "$__pitr_command" ]; then
      case $__pitr_word in
        -C | -c | --git-dir | --work-tree | --namespace | --exec-path | --super-prefix | --config-env) __pitr_value=$__pitr_word ;;
        -*) ;;
        *) __pitr_command=$__pitr_word ;;
      esac
      [ -n "$__pitr_command" ] || continue
    fi
    case $__pitr_command in
${cases.join('\n')}
      *) break ;;
    esac
  done
  if [ -n "$__pitr_risky" ]; then
    (cd -- "$__pitr_folder" 2>/dev/null && ${shellQuote(node)} ${shellQuote(program)} snapshot --quiet --type safety --trigger guard) || {
      if command git -C "$__pitr_folder" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        echo "git-pitr: the state before could not be recorded, so git $__pitr_command was not run. Without a snapshot: command git ..." >&2
        return 1
      fi
    }
  fi
  command git "$@"
}
`;
}

function fishFunction(node: string, program: string): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const fishPattern = (word: string) =>
    /^-[A-Za-z]$/.test(word) ? `'${word}' '-[!-]*${word.slice(1)}*'` : `'${word}'`;
  const cases = Object.entries(destructive).map(([name, words]) => {
    if (words.length === 0) return `            case ${name}\n                set risky 1`;
    const letters = words.filter((word) => /^-[A-Za-z]$/.test(word)).map((word) => word.slice(1));
    const plain = words.map((word) => fishPattern(word).split(' ')[0]).join(' ');
    const bundled =
      letters.length === 0
        ? ''
        : `\n                string match -qr -- '^-[A-Za-z]*[${letters.join('')}]' $word; and set risky 1`;
    const file = name === 'checkout' ? `\n                test -e "$folder/$word"; and set risky 1` : '';
    return `            case ${name}\n                contains -- $word ${plain}; and set risky 1${bundled}${file}`;
  });
  return `# git-pitr: a snapshot before git commands that destroy what no commit holds.
function git --wraps git
    set -l subcommand ''
    set -l folder .
    set -l value ''
    set -l risky 0
    for word in $argv
        if test -n "$value"
            test "$value" = -C; and set folder $word
            set value ''
            continue
        end
        if test -z "$subcommand"
            switch $word
                case -C -c --git-dir --work-tree --namespace --exec-path --super-prefix --config-env
                    set value $word
                case '-*'
                case '*'
                    set subcommand $word
            end
            test -n "$subcommand"; or continue
        end
        switch $subcommand
${cases.join('\n')}
            case '*'
                break
        end
        test $risky = 1; and break
    end
    if test $risky = 1
        if not fish -c 'cd $argv[1] 2>/dev/null; and $argv[2..-1] snapshot --quiet --type safety --trigger guard' -- $folder ${quote(node)} ${quote(program)}
            if command git -C $folder rev-parse --is-inside-work-tree >/dev/null 2>&1
                echo "git-pitr: the state before could not be recorded, so git $subcommand was not run. Without a snapshot: command git ..." >&2
                return 1
            end
        end
    end
    command git $argv
end
`;
}
