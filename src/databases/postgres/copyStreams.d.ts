/** pg-copy-streams has no types of its own, and those of DefinitelyTyped are of version 1. */
declare module 'pg-copy-streams' {
  import type { Submittable } from 'pg';
  import type { Readable, ReadableOptions, Writable } from 'node:stream';

  /** Rows that came or went; right once the stream has ended. */
  interface Counted {
    rowCount: number;
  }
  const streams: {
    to(sql: string, options?: ReadableOptions): Readable & Submittable & Counted;
    from(sql: string): Writable & Submittable & Counted;
  };
  export default streams;
}
