import { PitrError } from '../errors.ts';

/** A size as git writes them: bytes, or with k, m, g (1024-based); also KiB, MiB, GiB. Error: `usage`. */
export function parseSize(text: string, key: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (match?.[1] === undefined) throw badValue(key, text, 'a size, such as 500k, 100m or 2g');
  const power = { '': 0, k: 1, m: 2, g: 3, t: 4 }[(match[2] ?? '').toLowerCase()] ?? 0;
  return Math.floor(Number(match[1]) * 1024 ** power);
}

/** A duration such as `500ms`, `10s`, `5m`, `12h`, `7d`, `2w`, in milliseconds; a bare number is seconds. Error: `usage`. */
export function parseDuration(text: string, key: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?$/i.exec(text.trim());
  if (match?.[1] === undefined) throw badValue(key, text, 'a duration, such as 500ms, 10s, 5m, 12h or 7d');
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }[
    (match[2] ?? 's').toLowerCase()
  ];
  return Number(match[1]) * (unit ?? 1000);
}

export function badValue(key: string, value: string, wanted: string): PitrError {
  return new PitrError('usage', `The configuration ${key} = "${value}" is not ${wanted}.`, {
    hints: [
      `Set it right with: git config ${key} <value>`,
      `See where it comes from: git config --show-origin ${key}`,
    ],
  });
}
