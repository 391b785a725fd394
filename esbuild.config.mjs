/**
 * Builds the program, and runs as the one mechanism for TypeScript scripts of test/ (Node 20 cannot strip types).
 *
 *     node esbuild.config.mjs                       src -> dist: the command, the library, its type declarations
 *     node esbuild.config.mjs test/demo/demo.ts     one script -> dist-test/demo/demo.js, to be run with node
 *
 * dist-test mirrors test/, so that `new URL('../../', import.meta.url)` is the repository from both places.
 */
import { spawn } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const root = import.meta.dirname;
const dist = path.join(root, 'dist');

/** Native addons stay in node_modules. Ink imports react-devtools-core only when DEV=true, which `define` rules out. */
const external = ['better-sqlite3', 'node-pty', '@parcel/watcher', 'react-devtools-core', 'pg-native'];

/** CommonJS dependencies call require(), which an ES module has not: without this yargs and pg crash at start. */
const requireBanner =
  "import { createRequire as __createRequire } from 'node:module';const require = __createRequire(import.meta.url);";

/**
 * What is loaded only when it is used, each as a file in dist/chunks: the packages, src modules that import one
 * statically, and the commands that no hook runs. All else of src is one file: with a chunk for every shared module a
 * snapshot read 20 files before its first git process, 15 ms on every hook (docs/decisions/0003).
 */
const lazyPackages = [
  'yargs',
  'temporal-polyfill',
  'chrono-node/en',
  'pg',
  'pg-copy-streams',
  'mysql2',
  'isomorphic-git',
];
const lazyModules = [
  'src/timeline/schema.ts',
  'src/cli/main.ts',
  'src/cli/commands/list.ts',
  'src/cli/commands/prune.ts',
];

const chunkOf = (name) =>
  name
    .replace(/^src\//, '')
    .replace(/\.ts$/, '')
    .replaceAll('/', '-');

/** @param folder where the chunks are, seen from the file that imports them */
const lazyChunks = (folder) => ({
  name: 'lazy-chunks',
  setup(pluginBuild) {
    pluginBuild.onResolve({ filter: /.*/ }, ({ path: wanted, kind, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const name = wanted.startsWith('.') ? path.relative(root, path.resolve(resolveDir, wanted)) : wanted;
      if (![...lazyPackages, ...lazyModules].includes(name)) return undefined;
      return { path: `${folder}/${chunkOf(name)}.js`, external: true };
    });
  },
});

const shared = {
  absWorkingDir: root,
  write: false,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external,
  define: { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' },
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'external',
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
};

async function buildProgram() {
  const types = emitTypes();
  const program = build({
    ...shared,
    entryPoints: { 'git-pitr': 'src/cli/start.ts' },
    // CommonJS starts 4 ms faster than an ES module (Node 20).
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    banner: { js: '#!/usr/bin/env node' },
    outdir: dist,
    plugins: [lazyChunks('./chunks')],
  });
  const library = build({
    ...shared,
    entryPoints: { index: 'src/index.ts' },
    banner: { js: requireBanner },
    outdir: dist,
    plugins: [lazyChunks('./chunks')],
  });
  const lazy = build({
    ...shared,
    entryPoints: Object.fromEntries([...lazyPackages, ...lazyModules].map((name) => [chunkOf(name), name])),
    banner: { js: requireBanner },
    outdir: path.join(dist, 'chunks'),
    plugins: [lazyChunks('.')],
  });
  const outputFiles = (await Promise.all([program, library, lazy])).flatMap((result) => result.outputFiles);
  await mkdir(path.join(dist, 'chunks'), { recursive: true });
  const isEntry = (file) => path.dirname(file.path) === dist;
  // A command, or a second build, may start while this one writes: chunks, whose names
  // carry their hash, come first and are not rewritten; entries come last, and their time says "built".
  for (const file of outputFiles) if (!isEntry(file)) await writeIfChanged(file);
  await types;
  for (const file of outputFiles) if (isEntry(file)) await writeFile(file.path, file.contents);
  await chmod(path.join(dist, 'git-pitr.cjs'), 0o755);
  await removeStale(new Set(outputFiles.map((file) => file.path)));
}

async function writeIfChanged({ path: file, contents }) {
  const present = await readFile(file).catch(() => undefined);
  if (present === undefined || !present.equals(contents)) await writeFile(file, contents);
}

/** Removes what an earlier build left: a stale chunk would be published, and would hide a broken import. */
async function removeStale(written) {
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const isTypes = path.relative(dist, file).split(path.sep)[0] === 'types';
    if (entry.isFile() && !isTypes && !written.has(file)) await rm(file, { force: true });
  }
}

/** dist/types, in a process of its own beside the bundling. */
async function emitTypes() {
  await rm(path.join(dist, 'types'), { recursive: true, force: true, maxRetries: 3 });
  const tsc = spawn(path.join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  const code = await new Promise((resolve, reject) => {
    tsc.on('error', reject);
    tsc.on('close', resolve);
  });
  if (code !== 0) throw new Error(`tsc -p tsconfig.build.json ended with ${code}`);
}

/** A script may import src and packages as its neighbours in test/ do; packages are not bundled. */
async function buildScript(script) {
  await build({
    absWorkingDir: root,
    entryPoints: [script],
    outbase: 'test',
    outdir: 'dist-test',
    bundle: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: 'linked',
    logLevel: 'warning',
  });
}

const script = process.argv[2];
await (script === undefined ? buildProgram() : buildScript(script));
