import type { Config } from '../config/config.ts';
import type { CapturedDatabase } from '../databases/engine.ts';
import { withEngine } from '../databases/registry.ts';
import { contentOf } from '../databases/unnoted.ts';
import { messageOf } from '../errors.ts';
import type { Repository } from '../git/repository.ts';
import { readTree } from '../git/treeEntries.ts';
import type { Snapshot } from '../timeline/snapshot.ts';
import { copiesIn } from '../timeline/take.ts';

/** Checks the copies of databases; each once, however many snapshots hold it. */
export class CopyChecker {
  readonly #repository: Repository;
  readonly #config: Config;
  readonly #deep: boolean;
  readonly #known = new Map<string, string | undefined>();
  /** Engines whose copies only a server could look into. */
  readonly notDeep: Set<string> = new Set();

  constructor(repository: Repository, config: Config, deep: boolean) {
    this.#repository = repository;
    this.#config = config;
    this.#deep = deep;
  }

  /** What is wrong with the copies in a snapshot whose objects are all there. */
  async problemsOf(snapshot: Snapshot): Promise<{ path: string; problem: string }[]> {
    const problems: { path: string; problem: string }[] = [];
    if (snapshot.fromTrailers === true) return problems; // there is no hash to compare with
    const copies = await copiesIn(this.#repository, snapshot);
    for (const { name } of snapshot.databases)
      if (!copies.some((copy) => copy.name === name))
        problems.push({
          path: `databases/${name}`,
          problem: 'its note speaks of a copy that it does not hold',
        });
    const trees = await readTree(this.#repository, `${snapshot.commit}:databases`);
    for (const name of trees?.keys() ?? [])
      if (!copies.some((copy) => Buffer.from(copy.name).toString('latin1') === name))
        problems.push({
          path: `databases/${name}`,
          problem: 'it holds a copy that its note does not speak of',
        });
    for (const copy of copies) {
      const problem = await this.#problemOf(copy);
      if (problem !== undefined) problems.push({ path: `databases/${copy.name}`, problem });
    }
    return problems;
  }

  async #problemOf(copy: CapturedDatabase): Promise<string | undefined> {
    const key = `${copy.tree} ${copy.sha256} ${copy.bytes} ${copy.engine}`;
    if (!this.#known.has(key)) this.#known.set(key, await this.#look(copy));
    return this.#known.get(key);
  }

  async #look(copy: CapturedDatabase): Promise<string | undefined> {
    try {
      const content = await contentOf(this.#repository, copy.tree);
      if (content === undefined) return 'it is no copy of a database';
      if (content.sha256 !== copy.sha256 || content.bytes !== copy.bytes)
        return 'its content is not what was captured (another hash)';
      return this.#deep ? await this.#lookDeep(copy) : undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #lookDeep(copy: CapturedDatabase): Promise<string | undefined> {
    const database = {
      ...(this.#config.databases.find(({ name }) => name === copy.name) ?? {
        name: copy.name,
        format: 'image' as const,
        excludeTable: [],
      }),
      engine: copy.engine,
    };
    return withEngine(this.#repository, this.#config, database, async (engine, context) => {
      if (engine.check !== undefined) return engine.check(context, copy);
      this.notDeep.add(copy.engine);
      return undefined;
    });
  }
}
