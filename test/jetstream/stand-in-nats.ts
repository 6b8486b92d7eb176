// A server of NATS with JetStream in this process, as its client shows it: streams that are work queues, one consumer each, and faults.
import type { NatsClient, NatsConnection, NatsHeaders, NatsMessage } from '../../src/jetstream/index.js';

class StandInHeaders implements NatsHeaders {
  readonly values = new Map<string, string>();
  readonly code: number;

  constructor(code = 0) {
    this.code = code;
  }

  get(name: string): string {
    return this.values.get(name) ?? '';
  }

  set(name: string, value: string): void {
    this.values.set(name, value);
  }
}

interface Stored {
  readonly seq: number;
  readonly target: string;
  readonly headers: NatsHeaders | undefined;
  readonly bytes: number;
  deliveries: number;
  /** Whether a connection has it. */
  isOut: boolean;
}

type Callback = (error: Error | null, message: NatsMessage) => void;

interface Pull {
  readonly connection: StandInConnection;
  readonly inbox: string;
  left: number;
}

/** How the server behaves. */
export type Mode = 'open' | 'refused' | 'silent' | 'no_stream' | 'unauthorized' | 'untrusted' | 'plain';

const named = (name: string): Error => Object.assign(new Error(name), { name });

/** The server. It is used as the client: `connect()` of it makes a connection. */
export class StandInNats implements NatsClient {
  mode: Mode = 'open';
  /** Requests of these subjects get no answer, and what they do is done. */
  unanswered: RegExp | undefined;
  /** Nobody answers requests of these subjects. */
  deaf: RegExp | undefined;
  /** The most bytes of a message. */
  maxPayload = 4096;
  /** What the answer about the consumer says beside what it was made with. */
  consumerMore: Record<string, unknown> = {};
  #generation = 1;
  /** What a stream that exists already is configured with. */
  config: Record<string, unknown> | undefined;
  /** The options of each connect. */
  readonly connects: Record<string, unknown>[] = [];
  /** Every payload that came, with its subject. */
  readonly published: [subject: string, payload: string][] = [];
  readonly stored: Stored[] = [];
  readonly #ids = new Set<string>();
  readonly #connections = new Set<StandInConnection>();
  readonly #pulls: Pull[] = [];
  #consumer: Record<string, unknown> | undefined;
  #seq = 0;

  headers(): NatsHeaders {
    return new StandInHeaders();
  }

  async connect(options: Record<string, unknown>): Promise<NatsConnection> {
    this.connects.push(options);
    await Promise.resolve();
    if (this.mode === 'refused') throw named('ConnectionError');
    if (this.mode === 'unauthorized') throw named('AuthorizationError');
    if (this.mode === 'untrusted') throw Object.assign(new Error('not trusted'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
    if (this.mode === 'plain') throw Object.assign(named('ConnectionError'), { message: "server does not support 'tls'" });
    if (this.mode === 'silent') return new Promise(() => undefined);
    const connection = new StandInConnection(this);
    this.#connections.add(connection);
    return connection;
  }

  /** Ends every connection: what they have comes to others. */
  cut(): void {
    for (const connection of this.#connections) void connection.close();
  }

  /** Hands out again what a connection had that is gone, as the server does after the time of an acknowledgement. */
  forget(connection: StandInConnection): void {
    this.#connections.delete(connection);
    for (const pull of this.#pulls.filter((each) => each.connection === connection)) this.#pulls.splice(this.#pulls.indexOf(pull), 1);
    for (const each of this.stored) each.isOut = false;
    this.#deliver();
  }

  /** Deletes the stream with its events and its consumer, and tells nobody. */
  deleteStream(): void {
    this.config = undefined;
    this.#consumer = undefined;
    this.stored.length = 0;
    this.#pulls.length = 0;
    this.#ids.clear();
    this.#seq = 0;
    this.#generation += 1;
    this.deaf = /events$/;
  }

  /** Restarts without a word. What is deleted from the stream leaves no id behind. */
  restart(): void {
    this.#ids.clear();
    for (const { headers } of this.stored) this.#ids.add(headers?.get('Nats-Msg-Id') ?? '');
  }

  /** Forgets the pulls of a subscription that ends. */
  forgetInbox(inbox: string): void {
    for (const pull of this.#pulls.filter((each) => each.inbox === inbox)) this.#pulls.splice(this.#pulls.indexOf(pull), 1);
  }

  /** What the server does with a message. @returns The answer, if there is one. */
  take(connection: StandInConnection, subject: string, payload: string, headers?: NatsHeaders, reply?: string): string | undefined {
    this.published.push([subject, payload]);
    if (subject.startsWith('$JS.ACK.')) return this.#acknowledge(Number(subject.split('.')[5]), payload);
    const [, what] = /^\$JS\.API\.(.+)/.exec(subject) ?? [];
    if (what?.startsWith('STREAM.INFO')) return this.#answer(this.config, 10_059);
    if (what?.startsWith('STREAM.CREATE')) this.deaf = undefined;
    if (what?.startsWith('STREAM.CREATE')) return this.#answer((this.config = JSON.parse(payload) as Record<string, unknown>));
    if (what?.startsWith('CONSUMER.INFO')) return this.#answer(this.#consumer, 10_014);
    if (what?.startsWith('CONSUMER.DURABLE.CREATE')) {
      const { config } = JSON.parse(payload) as { config: Record<string, unknown> };
      return this.#answer((this.#consumer = config));
    }
    if (what?.startsWith('CONSUMER.MSG.NEXT')) {
      this.#pulls.push({ connection, inbox: reply ?? '', left: (JSON.parse(payload) as { batch: number }).batch });
      this.#deliver();
      return undefined;
    }
    return this.#store(payload, headers);
  }

  /** Sends a status to each request for events. */
  sendStatus(code: number): void {
    for (const { connection, inbox } of this.#pulls.splice(0))
      connection.receive(inbox, { data: new Uint8Array(), headers: new StandInHeaders(code) });
  }

  #answer(config: Record<string, unknown> | undefined, missing?: number): string {
    if (config === undefined) return JSON.stringify({ error: { code: 404, err_code: missing, description: 'not found' } });
    return JSON.stringify({ config: missing === 10_014 ? { ...config, ...this.consumerMore } : config, created: `${this.#generation}` });
  }

  #store(target: string, headers: NatsHeaders | undefined): string {
    const id = headers?.get('Nats-Msg-Id') ?? '';
    if (id !== '' && this.#ids.has(id)) return JSON.stringify({ seq: 1, duplicate: true });
    const bytes = Buffer.byteLength(target) + 200;
    const most = Number(this.config?.['max_bytes']);
    if (this.stored.reduce((sum, each) => sum + each.bytes, bytes) > most)
      return JSON.stringify({ error: { code: 503, err_code: 10_077, description: 'maximum bytes exceeded' } });
    this.#ids.add(id);
    this.#seq += 1;
    this.stored.push({ seq: this.#seq, target, headers, bytes, deliveries: 0, isOut: false });
    this.#deliver();
    return JSON.stringify({ seq: this.#seq });
  }

  #acknowledge(seq: number, payload: string): string {
    const index = this.stored.findIndex((each) => each.seq === seq);
    const each = this.stored[index];
    if (payload === '+ACK' && index !== -1) this.stored.splice(index, 1);
    if (payload === '-NAK' && each !== undefined) each.isOut = false;
    this.#deliver();
    return '';
  }

  #deliver(): void {
    for (const each of this.stored) {
      const pull = this.#pulls[0];
      if (pull === undefined) return;
      if (each.isOut) continue;
      each.isOut = true;
      each.deliveries += 1;
      pull.left -= 1;
      if (pull.left === 0) this.#pulls.shift();
      const reply = `$JS.ACK.S.relays.${each.deliveries}.${each.seq}.1.${this.#generation}.0`;
      pull.connection.receive(pull.inbox, { data: Buffer.from(each.target), headers: each.headers, reply });
    }
  }
}

class StandInConnection implements NatsConnection {
  readonly info: { max_payload: number };
  readonly #server: StandInNats;
  readonly #subscriptions = new Map<string, Callback>();
  readonly #closed: Promise<void>;
  #resolveClosed: () => void = () => undefined;
  readonly #failures = new Set<(error: Error) => void>();
  #isClosed = false;

  constructor(server: StandInNats) {
    this.#server = server;
    this.info = { max_payload: server.maxPayload };
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  publish(subject: string, payload = '', options: { headers?: NatsHeaders; reply?: string } = {}): void {
    if (!this.#isClosed && this.#server.mode === 'open') this.#server.take(this, subject, payload, options.headers, options.reply);
  }

  request(subject: string, payload = '', options: { headers?: NatsHeaders; timeout: number } = { timeout: 1000 }): Promise<NatsMessage> {
    if (this.#isClosed) return Promise.reject(named('ClosedConnectionError'));
    if (payload.length > this.info.max_payload) return Promise.reject(named('InvalidArgumentError'));
    if (this.#server.mode === 'no_stream' || this.#server.deaf?.test(subject) === true) return Promise.reject(named('NoResponders'));
    const answer = this.#server.mode === 'open' ? this.#server.take(this, subject, payload, options.headers) : undefined;
    const isAnswered = answer !== undefined && this.#server.unanswered?.test(subject) !== true;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(named('TimeoutError')), options.timeout);
      this.#failures.add((error) => {
        clearTimeout(timer);
        reject(error);
      });
      if (!isAnswered) return;
      clearTimeout(timer);
      setImmediate(() => resolve({ data: Buffer.from(answer) }));
    });
  }

  subscribe(subject: string, { callback }: { callback: Callback }): { drain(): Promise<void> } {
    this.#subscriptions.set(subject, callback);
    return {
      drain: () => {
        this.#subscriptions.delete(subject);
        this.#server.forgetInbox(subject);
        return Promise.resolve();
      },
    };
  }

  receive(subject: string, message: NatsMessage): void {
    setImmediate(() => this.#subscriptions.get(subject)?.(null, message));
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  closed(): Promise<void> {
    return this.#closed;
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      for (const fail of this.#failures) fail(named('RequestError'));
      this.#server.forget(this);
      this.#resolveClosed();
    }
    return this.#closed;
  }
}
