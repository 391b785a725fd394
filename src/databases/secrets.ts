import type { DatabaseConfig } from '../config/config.ts';
import { PitrError } from '../errors.ts';

/** Where a server's database is and how to log in: text that may hold a password, so no message ever quotes it. */

/** A registered `url`, `env:NAME` resolved. Errors: `usage`, without the text. */
export function connectionText({ name, engine, url }: DatabaseConfig): string {
  if (url === undefined || url === '') {
    throw new PitrError('usage', `The database "${name}" is registered without a url.`, {
      hints: [
        `git config pitr.database.${name}.url ${schemeOf(engine)}://user@host/database`,
        `git config pitr.database.${name}.url env:DATABASE_URL reads it from the environment.`,
      ],
    });
  }
  const variable = /^env:(.*)$/s.exec(url)?.[1];
  if (variable === undefined) {
    if (hasPassword(url)) throw passwordInConfig(name);
    return url;
  }
  const value = process.env[variable];
  if (value === undefined || value === '') {
    throw new PitrError(
      'usage',
      `The environment variable ${variable} is not set; it holds where the database "${name}" is.`,
      {
        hints: [
          `Set it where git-pitr runs; from an .env file in a shell: set -a; . ./.env; set +a`,
          `Or register the url without its password: git config pitr.database.${name}.url ${schemeOf(engine)}://user@host/database`,
        ],
      },
    );
  }
  return value;
}

/** True for a url or a list of key=value that holds a password. */
export function hasPassword(text: string): boolean {
  if (/^[a-z][a-z0-9+.-]*:/i.test(text)) {
    const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
    const at = authority.lastIndexOf('@');
    return /^[^:]*:./.test(at === -1 ? '' : authority.slice(0, at)) || /[?&](ssl)?password=./i.test(text);
  }
  return /(^|\s)(ssl)?password\s*=\s*\S/i.test(text);
}

function schemeOf(engine: string): string {
  return engine === 'mysql' || engine === 'mariadb' ? engine : 'postgresql';
}

function passwordInConfig(name: string): PitrError {
  return new PitrError(
    'usage',
    `The url of the database "${name}" in your git configuration holds a password; it is not used.`,
    {
      hints: [
        `Take it out (git config --edit), and let the server's own places hold it: ~/.pgpass for PostgreSQL, ~/.my.cnf for MariaDB and MySQL.`,
        `Or keep the whole url in an environment variable: git config pitr.database.${name}.url env:DATABASE_URL`,
      ],
    },
  );
}
