import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { pitr } from '../support/cli.ts';
import { sqlite as query } from '../support/databases.ts';
import { forge, type Forgery, type RawEntry, type RawTree } from './support/forge.ts';
import { expectRefused, tried, victim, type Victim } from './support/victim.ts';

/** A victim with a registered database `app` of one row, recorded honestly. */
function withDatabase(): Victim & { file: string } {
  const where = victim();
  const file = where.repository.resolve('app.db');
  query(file, "CREATE TABLE t(x); INSERT INTO t VALUES('mine')");
  where.repository.git('config', 'pitr.database.app.path', 'app.db');
  where.repository.git('config', 'pitr.database.app.engine', 'sqlite');
  pitr(where.repository.path, ['snapshot', '-m', 'with its database']);
  return { ...where, file };
}

const files: RawTree = [
  { name: 'a.txt', content: 'a\n' },
  { name: 'dir', content: [{ name: 'b.txt', content: 'b\n' }] },
];

function image(chunks: readonly RawEntry[]): RawTree {
  return [{ name: 'app', content: [{ name: 'image', content: [{ name: '0000', content: chunks }] }] }];
}

function described(content: Buffer, more: Record<string, unknown> = {}): Record<string, unknown> {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return {
    databases: [{ name: 'app', engine: 'sqlite', bytes: content.length, sha256, path: 'app.db', ...more }],
  };
}

const noise = Buffer.from('this is no database at all, whatever its note says');
const headed = Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(4080, 0xff)]);

const forgeries: [what: string, forgery: () => Forgery][] = [
  [
    'noise for a database',
    () => ({ databases: image([{ name: '0000', content: noise }]), note: described(noise) }),
  ],
  [
    'a header, and noise',
    () => ({ databases: image([{ name: '0000', content: headed }]), note: described(headed) }),
  ],
  [
    'another content than its hash says',
    () => ({ databases: image([{ name: '0000', content: headed }]), note: described(noise) }),
  ],
  [
    'another length than its note says',
    () => ({ databases: image([{ name: '0000', content: noise }]), note: described(noise, { bytes: 1 }) }),
  ],
  [
    'a chunk that is missing in the middle',
    () => ({
      databases: image([
        { name: '0000', content: noise },
        { name: '0002', content: noise },
      ]),
      note: described(noise),
    }),
  ],
  [
    'a chunk that is a link',
    () => ({
      databases: image([{ mode: '120000', name: '0000', content: '/etc/passwd' }]),
      note: described(noise),
    }),
  ],
  [
    'a chunk that is a folder',
    () => ({
      databases: image([{ name: '0000', content: [{ name: 'x', content: noise }] }]),
      note: described(noise),
    }),
  ],
  [
    'a chunk that is not there',
    () => ({
      databases: image([{ mode: '100644', name: '0000', content: { oid: '1234567890'.repeat(4) } }]),
      note: described(noise),
    }),
  ],
  [
    'a chunk of names that lead out',
    () => ({ databases: image([{ name: '../../x', content: noise }]), note: described(noise) }),
  ],
  [
    'no image',
    () => ({
      databases: [{ name: 'app', content: [{ name: 'other', content: noise }] }],
      note: described(noise),
    }),
  ],
  [
    'an image that is a file',
    () => ({
      databases: [{ name: 'app', content: [{ name: 'image', content: noise }] }],
      note: described(noise),
    }),
  ],
  [
    'a file for the database',
    () => ({ databases: [{ name: 'app', content: noise }], note: described(noise) }),
  ],
  [
    'an engine that is none',
    () => ({
      databases: image([{ name: '0000', content: noise }]),
      note: described(noise, { engine: '../../evil' }),
    }),
  ],
  ['only a note of it', () => ({ note: described(noise) })],
];

/** The second one with PITR_CAMPAIGN=1 (`.ci/run`). */
const scopes = [['--db', 'app'], ['--all']];

describe('a database copy that is none: refused, and the live one is as it was', () => {
  it.each(forgeries)('%s', (_, forgery) => {
    const where = withDatabase();
    const { id } = forge(where.repository, { files, ...forgery() });
    for (const scope of process.env['PITR_CAMPAIGN'] === '1' ? scopes : scopes.slice(0, 1)) {
      const { stderr } = expectRefused(
        where,
        ['restore', '--snapshot', id, ...scope, '--yes', '--force'],
        [2, 3, 4, 5, 7],
      );
      expect(stderr).not.toMatch(/TypeError|RangeError|^\s+at |defect of git-pitr/m);
      expect(query(where.file, 'SELECT x FROM t')).toBe('mine');
    }
    // And the honest copy comes back.
    query(where.file, "UPDATE t SET x = 'changed'");
    const honest = pitr(where.repository.path, ['list', '--json']).json<{
      snapshots: { id: string; message: string }[];
    }>();
    const good = honest.snapshots.find(({ message }) => message === 'with its database')?.id ?? '';
    pitr(where.repository.path, ['restore', '--snapshot', good, '--db', 'app', '--yes', '--force']);
    expect(query(where.file, 'SELECT x FROM t')).toBe('mine');
  });
});

describe('names of databases that are paths', () => {
  it.each(['../../outside', '/tmp/git-pitr-was-here', '.git', '..', 'a/../../b', '-o', ''])(
    '%j is written nowhere',
    (name) => {
      const where = withDatabase();
      const content = readFileSync(where.file);
      const { id } = forge(where.repository, {
        files,
        databases: [
          {
            name,
            content: [{ name: 'image', content: [{ name: '0000', content: [{ name: '0000', content }] }] }],
          },
        ],
        note: { databases: [{ ...(described(content)['databases'] as object[])[0], name }] },
      });
      const into = path.join(where.around, 'into');
      const args = ['restore', '--snapshot', id, '--all', '--into', into];
      tried.inputs++;
      const before = where.belongings();
      const { code } = pitr(where.repository.path, args, { expectCode: 'any' });
      const after = where.belongings().filter((line) => !/(^|\s)(\.\/)?into\//.test(line));
      expect(after).toEqual(before);
      expect([0, 4, 5, 7]).toContain(code);
      expect(existsSync('/tmp/git-pitr-was-here')).toBe(false);
      expectRefused(where, ['restore', '--snapshot', id, '--db', `=${name}`, '--yes', '--force'], [2, 5]);
    },
  );
});

it('a database of hostile SQL is data: nothing in it runs', () => {
  const where = withDatabase();
  const evil = path.join(where.around, 'evil.db');
  query(
    evil,
    `CREATE TABLE t(x); INSERT INTO t VALUES('theirs');
     CREATE VIEW v AS SELECT writefile('owned', 'x');
     CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT writefile('owned', 'x'); END;`,
  );
  const content = readFileSync(evil);
  const { id } = forge(where.repository, {
    files,
    databases: image([{ name: '0000', content }]),
    note: described(content),
  });
  tried.inputs++;
  pitr(where.repository.path, ['restore', '--snapshot', id, '--db', 'app', '--yes', '--force'], {
    expectCode: 'any',
  });
  expect(existsSync(where.repository.resolve('owned'))).toBe(false);
  pitr(where.repository.path, ['undo', '--yes'], { expectCode: 'any' });
  expect(query(where.file, 'SELECT x FROM t')).toBe('mine');
});

afterAll(() => console.log(`hostile databases: ${tried.inputs} inputs tried, 0 live databases changed`));
