import { defineConfig } from 'vitest/config';

// Tests may be started from a git hook, where GIT_DIR and its like name the user's repository: a test that ran
// git with them would write there. The workers inherit the environment of this process.
for (const name of Object.keys(process.env)) if (name.startsWith('GIT_')) delete process.env[name];

// `npm test` is to take less than 10 minutes on 2 cores. What else there is, `.ci/run` and `.ci/campaigns` run, and whoever
// asks for it: `PITR_CAMPAIGN=1 npx vitest run <file>`.
const campaigns = [
  'test/databases/mariadb/{behaviour,command,midair,odd,roundTrip,rows}.test.ts',
  'test/databases/postgres/{behaviour,command,roundTrip,rows}.test.ts',
  'test/hostile/{databases,notes,trees}.test.ts',
  'test/property/replay.test.ts',
];
const long = process.env['PITR_CAMPAIGN'] === '1' ? [] : campaigns;

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    exclude: ['**/node_modules/**', ...long],
    globalSetup: ['test/support/build-once.ts'],
    // Processes, not threads: tests change the working directory, and native addons are loaded.
    pool: 'forks',
    // More than there are cores: most of the time a test waits for a process.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
