import { BtreePage } from '../format/btree.ts';
import type { Pages } from '../format/pages.ts';
import type { Integer } from '../format/record.ts';
import type { ChangedPages } from './changed.ts';

/** Deeper than any b-tree of SQLite (BTCURSOR_MAX_DEPTH). */
const maxDepth = 20;
/** Pages read at once. */
const batch = 256;

/** One side of a comparison: a tree in a recorded database; no root where there is no such table. */
export interface Tree {
  pages: Pages;
  root: number;
}

/** A page and the keys that can be below it: greater than `above`, and not greater than `upTo`. */
export interface Node<Key> {
  page: number;
  above: Key | undefined;
  upTo: Key | undefined;
}

/** What the two kinds of trees have apart. */
export interface TreeKind<Key> {
  /** The key of a cell on an interior page. */
  keyAt(side: Pages, page: BtreePage, cell: number): Promise<Key> | Key;
  /** False when no page of `from` that changed can be below a node. */
  mayHoldChange(node: Node<Key>): boolean;
  /** True where interior pages hold rows too. */
  interiorRows: boolean;
}

/** Pages of the two trees in the order of their keys; the rows on all others are the same in both trees. */
export interface DifferingPages {
  from: number[];
  to: number[];
}

/**
 * Goes down two b-trees side by side, level by level, and leaves out what is the same in both: a page that is in both
 * trees and did not change, when no changed page can be below it. (All pages below it in `from` are unchanged then, so
 * it has the same pages below it in `to`.) A page that is in one tree alone counts even when its bytes are the same:
 * SQLite does not touch the page of deleted rows when it makes it a free one.
 */
export async function differingPages<Key>(
  from: Tree | undefined,
  to: Tree | undefined,
  changed: ChangedPages,
  kind: TreeKind<Key>,
): Promise<DifferingPages> {
  const sides = [await Level.at(from, kind), await Level.at(to, kind)] as const;
  const [a, b] = sides;
  const result: DifferingPages = { from: a.taken, to: b.taken };
  for (;;) {
    if (a.height === b.height) leaveOutCommon(a, b, changed, kind);
    if (a.height <= 0 && b.height <= 0) {
      for (const side of sides) for (const { page } of side.nodes) side.taken.push(page);
      return result;
    }
    const height = Math.max(a.height, b.height);
    for (const side of sides) if (side.height === height) await side.expand(changed);
  }
}

function leaveOutCommon<Key>(a: Level<Key>, b: Level<Key>, changed: ChangedPages, kind: TreeKind<Key>): void {
  if (!changed.comparable) return;
  const inB = new Set(b.nodes.map(({ page }) => page));
  const common = new Set<number>();
  for (const node of a.nodes) if (inB.has(node.page) && !changed.has(node.page)) common.add(node.page);
  const same = new Set(
    a.nodes
      .filter((node) => common.has(node.page) && (a.height === 0 || !kind.mayHoldChange(node)))
      .map(({ page }) => page),
  );
  for (const side of [a, b]) {
    side.nodes = side.nodes.filter(({ page }) => !same.has(page));
    side.common = common;
  }
}

class Level<Key> {
  nodes: Node<Key>[];
  /** Of the nodes, those that are in both trees and unchanged: their own rows are the same. */
  common = new Set<number>();
  /** Pages whose rows are to be compared. */
  taken: number[] = [];
  /** Levels below this one. */
  height: number;
  readonly #pages: Pages | undefined;
  readonly #kind: TreeKind<Key>;

  private constructor(pages: Pages | undefined, kind: TreeKind<Key>, nodes: Node<Key>[], height: number) {
    this.#pages = pages;
    this.#kind = kind;
    this.nodes = nodes;
    this.height = height;
  }

  static async at<Key>(tree: Tree | undefined, kind: TreeKind<Key>): Promise<Level<Key>> {
    if (tree === undefined) return new Level(undefined, kind, [], 0);
    let height = 0;
    for (let [page] = await tree.pages.btree([tree.root]); page?.isLeaf === false; height++) {
      if (height > maxDepth) throw new RangeError('a tree is deeper than any');
      [page] = await tree.pages.btree([page.count > 0 ? page.cell(0).child : page.right]);
    }
    const root: Node<Key> = { page: tree.root, above: undefined, upTo: undefined };
    return new Level(tree.pages, kind, [root], height);
  }

  /** One level down. */
  async expand(changed: ChangedPages): Promise<void> {
    const { nodes } = this;
    const below: Node<Key>[] = [];
    for (let start = 0; start < nodes.length; start += batch) {
      const part = nodes.slice(start, start + batch);
      const pages = (await this.#pages?.btree(part.map(({ page }) => page))) ?? [];
      for (const [at, node] of part.entries()) await this.#children(node, pages[at] as BtreePage, below);
      if (below.length > (this.#pages?.count ?? 0)) throw new RangeError('a tree goes in circles');
    }
    if (this.#kind.interiorRows)
      for (const { page } of nodes) if (!changed.comparable || !this.common.has(page)) this.taken.push(page);
    this.nodes = below;
    this.common = new Set();
    this.height--;
  }

  async #children(node: Node<Key>, page: BtreePage, below: Node<Key>[]): Promise<void> {
    if (page.isLeaf) throw new RangeError(`page ${page.number} is a leaf above others`);
    let above = node.above;
    for (let at = 0; at < page.count; at++) {
      const upTo = await this.#kind.keyAt(this.#pages as Pages, page, at);
      below.push({ page: page.cell(at).child, above, upTo });
      above = upTo;
    }
    below.push({ page: page.right, above, upTo: node.upTo });
  }
}

/** Trees of tables with rowids. */
export function rowidTree(changed: ChangedPages): TreeKind<Integer> {
  const { rowids } = changed;
  return {
    keyAt: (_, page, cell) => page.cell(cell).rowid,
    mayHoldChange: ({ above, upTo }) => {
      const next = above === undefined ? rowids[0] : rowids[firstWhere(rowids, (rowid) => rowid > above)];
      return next !== undefined && (upTo === undefined || next <= upTo);
    },
    interiorRows: false,
  };
}

/** The position of the first for which a condition holds that, once true, stays true. */
export function firstWhere<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(items[middle] as Item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
