/**
 * Flask-EventTrack in the browser: `window.eventtrack`, for editors and `tsc`.
 *
 * Until the script has loaded, `window.eventtrack` is an array, or nothing at all:
 *
 *     (window.eventtrack = window.eventtrack || []).push((et) => et.track("product.view", { sku: "A1" }));
 */
declare namespace EventTrack {
  type Params = { [name: string]: unknown };

  /**
   * The parameters of each event. `flask eventtrack catalogue export --format typescript` fills it;
   * until then `track()` takes any action.
   */
  interface Events {}

  /** The attributes with parameters of each event, filled likewise. */
  interface Attributes {}

  /** Parameters that any event may have: what it is about. The script adds most of them itself. */
  interface Context {
    url?: string;
    title?: string;
    content_type?: string;
    content_id?: string;
    publisher?: string;
    object_type?: string;
    object_id?: string;
  }

  type Action = keyof Events extends never ? string : keyof Events;

  /** What follows the action in `track()`. */
  type Rest<A> = A extends keyof Events
    ? {} extends Events[A]
      ? [params?: Events[A] & Context, label?: string]
      : [params: Events[A] & Context, label?: string]
    : [params?: Params, label?: string];

  /**
   * The attributes of an element that sends an event on a click, when it is seen, or when a pointer
   * rests on it. For typed templates such as TSX: `<button {...tagged} />`.
   */
  type ElementAttributes<A extends Action = Action> = A extends keyof Attributes
    ? On<A> & Attributes[A] & { "data-eventtrack-label"?: string }
    : On<A> & { [name: `data-eventtrack-${string}`]: string | number | boolean };

  type On<A> =
    | { "data-eventtrack": A }
    | { "data-eventtrack-view": A }
    | { "data-eventtrack-hover": A };

  /** Why something was refused. */
  interface Problem {
    /** Stable, for programs: `undefined_event`, `invalid_params`, `no_answer`, … */
    code: string;
    /** For people. */
    message: string;
    /** The parameter that is wrong. */
    param: string | null;
  }

  /**
   * - `accepted`: the server has it.
   * - `duplicate`: the server had it already.
   * - `rejected`: it will never be taken; `error` says why.
   * - `queued`: no answer yet. It is kept, and will be sent.
   * - `dropped`: the visitor has refused, or too many events wait.
   */
  type Status = "accepted" | "duplicate" | "rejected" | "queued" | "dropped";

  interface Result {
    event_id: string;
    status: Status;
    error?: Problem | null;
  }

  /** The answer to a call that is not an event; without `error` it has succeeded. */
  interface Answer {
    error?: Problem | null;
  }

  type Callback = (eventtrack: Api) => void;

  /** No promise of these ever rejects. */
  interface Api {
    /**
     * Something happened.
     * @param action as the server defines it, such as `product.view`
     * @param rest `params`, a plain object of JSON values, and `label`, the sentence shown in feeds
     *   instead of the definition's
     */
    track<A extends Action>(action: A, ...rest: Rest<A>): Promise<Result>;

    /** A single-page app has shown another page: its visit. `location` is already the new one. */
    page(params?: Params): Promise<Result>;

    /** The visitor is the customer whom the JWT names. */
    identify(jwt: string): Promise<Answer>;

    /** Log the customer out. Later events belong to an anonymous visitor. */
    logout(): Promise<Answer>;

    /** Runs the functions at once. Before the script has loaded: as soon as it has. */
    push(...callbacks: Callback[]): void;

    /** Sends what waits. It resolves when nothing waits any more or an attempt has failed. */
    flush(): Promise<void>;

    /** The visitor refuses: from now on nothing is recorded, sent or kept. */
    optOut(): Promise<Answer>;

    /** The visitor consents. */
    optIn(): Promise<Answer>;
  }

  interface EventMap {
    /** The script has loaded. */
    "eventtrack:ready": CustomEvent<Api>;
    /** An event was rejected, or a post failed and will be tried again. */
    "eventtrack:error": CustomEvent<{ error: Problem } & Partial<Result>>;
  }
}

interface Window {
  eventtrack?: EventTrack.Api | EventTrack.Callback[];
}

declare var eventtrack: EventTrack.Api | EventTrack.Callback[];

interface DocumentEventMap extends EventTrack.EventMap {}

interface WindowEventMap extends EventTrack.EventMap {}
