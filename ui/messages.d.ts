// Made of wasm/messages.schema.json by node test/types.mjs: do not edit.

/**
 * What crosses between the page and its worker. The page sends requests; the worker answers each with one reply of the same id and sends events at any time. Arrays of numbers that may be long are Float64Arrays, which JSON writes as arrays.
 */
export type Message = Request | Reply | Event;
/**
 * A method with its parameters.
 */
export type Request =
  HelloRequest | DescribeRequest | StartRequest | OpenRequest | PlainRequest | SetRequest | RunRequest | RenameRequest | GenerateRequest | ImportRequest;
export type ID = number;
/**
 * A number, a switch, a text, or a list of texts.
 */
export type Value = number | boolean | string | string[];
export type RunID = string;
export type Bytes = number[];
export type Count = number;
/**
 * Of numbers; JSON would write an array.
 */
export type Column = Float64Array;
export type Event =
  | StateEvent
  | StepsEvent
  | EvalEvent
  | SavedEvent
  | SampleEvent
  | InnerEvent
  | TokenEvent
  | MemoryEvent
  | DeviceEvent
  | NoticeEvent
  | NormsEvent
  | PreparingEvent;
export type State = "idle" | "loading" | "running" | "paused" | "finished" | "failed";

/**
 * The first request: opens the device and says what there is.
 */
export interface HelloRequest {
  id: ID;
  method: "hello";
  params: {
    /**
     * auto: a GPU, else pure Go. gpu: any adapter, of software too where there is no other. cpu: pure Go.
     */
    device: "auto" | "gpu" | "cpu";
  };
}
/**
 * What a run of this configuration would be. Keys that are left out have the defaults of hello.
 */
export interface DescribeRequest {
  id: ID;
  method: "describe";
  params: {
    config: Config;
  };
}
/**
 * Dotted keys of a run's configuration, as train.lr, with their values.
 */
export interface Config {
  [k: string]: Value;
}
/**
 * Begins a new run and trains. A run that is open is saved and closed first.
 */
export interface StartRequest {
  id: ID;
  method: "start";
  params: {
    config: Config;
    /**
     * Empty: one is made up.
     */
    name: string;
    /**
     * Do not train yet.
     */
    paused: boolean;
    /**
     * A run or upload whose newest weights the new run begins with; empty: random ones.
     */
    weights: string;
  };
}
/**
 * Opens a kept run at its newest checkpoint. text, where it is not empty, is the file to read instead of the one that the configuration names.
 */
export interface OpenRequest {
  id: ID;
  method: "open";
  params: {
    run: RunID;
    paused: boolean;
    text: string;
    /**
     * Go on with text though it is not the one that the run was trained on.
     */
    otherText: boolean;
  };
}
/**
 * pause: after the step under way; one of more than two seconds may be given up, to be made again. resume: train on. step: one step. stop: save and close the run. save: a checkpoint now. runs: the kept runs. cancel: end the generation under way, or what makes a run ready: start and open are then refused as cancelled. diagnose: the open run's numerics, on a held-out batch.
 */
export interface PlainRequest {
  id: ID;
  method: "pause" | "resume" | "step" | "stop" | "save" | "runs" | "cancel" | "diagnose";
  params: {};
}
/**
 * Changes a value of the open run from its next step on, which its changes tell as far as it has a part in what the run learns: train.steps, train.lr, train.warmup_steps, train.min_lr_ratio, train.weight_decay, train.clip, train.eval_every, sample.temperature, sample.top_k, sample.tokens, sample.seconds, sample.sound_temperature, sample.prompts, model.target_eps, train.fault (the run is loaded anew).
 */
export interface SetRequest {
  id: ID;
  method: "set";
  params: {
    key: string;
    value: Value;
  };
}
/**
 * metrics: a kept run's curves. norms: what its log says of its normalisers. download: makes a kept run's files ready (the open one is saved first) and lists them. delete: for ever; an open run is closed first.
 */
export interface RunRequest {
  id: ID;
  method: "metrics" | "norms" | "download" | "delete";
  params: {
    run: RunID;
  };
}
export interface RenameRequest {
  id: ID;
  method: "rename";
  params: {
    run: RunID;
    name: string;
  };
}
/**
 * Continues text, or bytes, with the open run's model. What of text was read last time with the same weights is not read again: the inner state has it. Tokens come as token events that name the request.
 */
export interface GenerateRequest {
  id: ID;
  method: "generate";
  params: {
    text: string;
    bytes?: Bytes;
    tokens: number;
    temperature: number;
    topK: Count;
    seed: Count;
  };
}
/**
 * Takes an upload, a folder of the worker's file system, over as a run: what the command line writes (config.toml, checkpoints), or weights alone (model.safetensors, config.json), which begin a new run. The files may lie in one folder within it. The worker makes it of the page's files.
 */
export interface ImportRequest {
  id: ID;
  method: "import";
  params: {
    dir: string;
    name: string;
  };
}
/**
 * result is that of the request's method, or there is an error.
 */
export interface Reply {
  id: ID;
  result?: Hello | Description | RunResult | Runs | Metrics | PastNorms | Generated | Download | Diagnosis | Empty;
  error?: Failure;
}
export interface Hello {
  version: string;
  device: Device;
  /**
   * Where runs are kept: opfs, or memory, which a refresh empties; problem says why.
   */
  storage: {
    kind: "opfs" | "memory";
    problem: string;
  };
  defaults: Config;
  /**
   * Known faults that train.fault puts into the layer; video: in the video variant only.
   */
  faults: {
    name: string;
    about: string;
    video: boolean;
  }[];
}
/**
 * What trains.
 */
export interface Device {
  name: string;
  /**
   * webgpu, or go: no GPU
   */
  backend: string;
  /**
   * A processor plays the GPU, or there is none.
   */
  software: boolean;
  /**
   * What hello asked for.
   */
  asked: "auto" | "gpu" | "cpu";
  /**
   * Why there is no GPU: no-webgpu (the browser has none), no-adapter (it offers none), software (auto was asked for, and the only adapters are processors that play one: message names them), failed (see message), chosen (cpu was asked for); empty: there is one.
   */
  problem: "" | "no-webgpu" | "no-adapter" | "software" | "failed" | "chosen";
  message: string;
}
export interface Description {
  config: Config;
  parameters: Count;
  bytes: Count;
  dispatches: Count;
  /**
   * Floating-point operations of a step.
   */
  flops: number;
  tokens: Count;
  step: Span;
  run: Span;
  /**
   * Why it cannot run; the numbers are then 0.
   */
  problem: Failure | null;
}
/**
 * From the least to the most, in seconds; both 0: not known.
 */
export interface Span {
  low: number;
  high: number;
}
/**
 * What went wrong, in one sentence, and what kind of thing it is.
 */
export interface Failure {
  /**
   * usage: a request that makes no sense now. config: a value, key names it. data: text or checkpoint. needs-text: the run's text is not in this browser. cancelled: the page asked for it. memory, shader, lost, device: the GPU. storage: files. non-finite: the loss or a gradient. locked: another tab has the run. internal: a bug.
   */
  code: "usage" | "config" | "data" | "needs-text" | "memory" | "shader" | "lost" | "device" | "storage" | "non-finite" | "locked" | "cancelled" | "internal";
  message: string;
  /**
   * The configuration's key that is wrong, or empty.
   */
  key: string;
  /**
   * Of a message that names several keys, all of them.
   */
  keys?: string[];
  step: Count;
  /**
   * The step of the checkpoint that is kept, or -1.
   */
  checkpoint: number;
  /**
   * Where the first value that is not finite came from, in lines as the command line prints them: step, place, operation, what it wrote or what was given, what it read.
   */
  origin?: {
    what: "step" | "place" | "operation" | "wrote" | "given" | "read";
    text: string;
  }[];
  /**
   * What is to blame. loaded: a parameter that was not finite from the start, as it was initialised or loaded. parameter: one that was not before the step. given: something else that the step began with. half: a value that is too large for 16 bits. operation: one of the step's own. fault: a known fault is in the layer. device: executed again, the step was finite.
   */
  cause?: "loaded" | "parameter" | "given" | "half" | "operation" | "fault" | "device";
}
export interface RunResult {
  run: Run;
}
export interface Run {
  id: RunID;
  name: string;
  /**
   * RFC 3339, UTC.
   */
  created: string;
  step: Count;
  steps: Count;
  /**
   * The training loss of that step, smoothed by 0.8 as the page's curves are.
   */
  loss: number | null;
  valLoss: number | null;
  parameters: Count;
  bytes: Count;
  config: Config;
  open: boolean;
  reached: Count;
  /**
   * What was changed while it was open, in the order of the steps: without it the run is what config says, with every key's first from in its place.
   */
  changes: Change[];
  /**
   * Why it cannot be opened, or empty.
   */
  problem: string;
}
/**
 * A value that was changed in the course of a run: step is the last one that was made with from.
 */
export interface Change {
  step: Count;
  key: string;
  from: Value;
  to: Value;
}
export interface Runs {
  /**
   * Newest first.
   */
  runs: Run[];
}
/**
 * Columns of equal length, those of val apart.
 */
export interface Metrics {
  run: RunID;
  step: Column;
  loss: Column;
  gradNorm: Column;
  lr: Column;
  tokensPerSecond: Column;
  valStep: Column;
  valLoss: Column;
}
/**
 * What a run's log says of its normalisers: columns of equal length, a row a step, each the worst of all layers and heads as in a norms event.
 */
export interface PastNorms {
  run: RunID;
  /**
   * Numbers of the blocks.
   */
  layers: Count[];
  heads: Count;
  /**
   * Of |z|.
   */
  bound: number;
  /**
   * Where another fault was put in, or with an empty name taken out.
   */
  faults: {
    step: Count;
    fault: string;
  }[];
  step: Column;
  eps: Column;
  stdMin: Column;
  stdMean: Column;
  highGain: Column;
  maxZ: Column;
  gain: Column;
  xvMin: Column;
  xvMax: Column;
  xkMin: Column;
  xkMax: Column;
  outMin: Column;
  outMax: Column;
  keyMin: Column;
  keyMax: Column;
  nonFinite: Column;
}
export interface Generated {
  tokens: Count;
  read: Count;
  kept: Count;
  step: Count;
  seconds: number;
  cancelled: boolean;
}
/**
 * A run's files as the command line reads them, paths within dir.
 */
export interface Download {
  dir: string;
  name: string;
  files: string[];
}
/**
 * The cause that explains the open run's numerics, and every hypothesis with its verdict. The columns, absent where the model has no normaliser, are of layers: highGain is the part of rows with a gain 1/(std+eps) above 100, gain the largest 1/(std+eps).
 */
export interface Diagnosis {
  /**
   * healthy, inconsistent-normaliser, small-std, ...
   */
  cause: string;
  summary: string;
  step: Count;
  eps: number;
  /**
   * Of |z|; 0: there is no normaliser.
   */
  bound: number;
  hypotheses: {
    id: string;
    text: string;
    cause: string;
    verdict: "supported" | "refuted" | "undecidable";
    measurement: string;
    mend?: string;
  }[];
  /**
   * Numbers of the blocks.
   */
  layers: Count[];
  xvMin?: Column;
  xvMax?: Column;
  xkMin?: Column;
  xkMax?: Column;
  outMin?: Column;
  outMax?: Column;
  stdMin?: Column;
  highGain?: Column;
  maxZ?: Column;
  keyMin?: Column;
  keyMax?: Column;
  gain?: Column;
  nonFinite?: Column;
}
export interface Empty {}
/**
 * The open run changed its state; idle: there is none.
 */
export interface StateEvent {
  event: "state";
  data: {
    state: State;
    run: Run | null;
    error: Failure | null;
  };
}
/**
 * Steps since the last such event; seconds is the time that they took together, left what the run takes from here to its end with validation, samples and checkpoints; 0: not known.
 */
export interface StepsEvent {
  event: "steps";
  data: {
    run: RunID;
    seconds: number;
    left: number;
    rows: {
      step: Count;
      loss: number;
      gradNorm: number;
      lr: number;
      tokens: Count;
    }[];
  };
}
export interface EvalEvent {
  event: "eval";
  data: {
    run: RunID;
    step: Count;
    /**
     * Nats a token.
     */
    loss: number;
    bitsPerByte: number;
    tokens: Count;
    seconds: number;
  };
}
export interface SavedEvent {
  event: "saved";
  data: {
    run: RunID;
    step: Count;
    seconds: number;
  };
}
/**
 * What the model makes of a prompt after step updates; of a sound, bytes are what it makes of silence, 8-bit mu-law samples, data.sample_rate of the run's configuration a second, and text is empty.
 */
export interface SampleEvent {
  event: "sample";
  data: {
    run: RunID;
    step: Count;
    prompt: string;
    text: string;
    bytes?: Bytes;
  };
}
/**
 * Reconstruction losses of a held-out sequence's tokens, the mean over each mini-batch: [layers][heads][miniBatches], flat, under the learned start W0 (start), the state before the mini-batch's step (before) and after it (after); drift [layers][heads][miniBatches] is ||W_t - W0|| / ||W0||.
 */
export interface InnerEvent {
  event: "inner";
  data: {
    run: RunID;
    step: Count;
    layers: Count;
    heads: Count;
    miniBatches: Count;
    miniBatchSize: Count;
    start: Column;
    before: Column;
    after: Column;
    drift: Column;
  };
}
/**
 * Generated tokens of a request: each byte with its probability and the likeliest bytes at its place.
 */
export interface TokenEvent {
  event: "token";
  data: {
    request: ID;
    tokens: {
      byte: number;
      p: number;
      top: {
        byte: number;
        p: number;
      }[];
    }[];
  };
}
/**
 * Bytes in use: the WebAssembly memory, and GPU buffers.
 */
export interface MemoryEvent {
  event: "memory";
  data: {
    wasm: Count;
    gpu: Count;
  };
}
/**
 * The device changed.
 */
export interface DeviceEvent {
  event: "device";
  data: Device;
}
/**
 * Something that a person should know and that does not end the run: a lost device from which it recovered, a checkpoint that could not be written, runs that cannot be kept.
 */
export interface NoticeEvent {
  event: "notice";
  data: Failure;
}
/**
 * What the normalisers of the reconstruction target did in the last step (video variant): columns [layers][heads], flat. highGain is the part of rows with a gain 1/(std+eps) above 100, gain the largest 1/(std+eps), key the length of keys.
 */
export interface NormsEvent {
  event: "norms";
  data: {
    run: RunID;
    step: Count;
    /**
     * Numbers of the blocks.
     */
    layers: Count[];
    heads: Count;
    eps: number;
    /**
     * Of |z|.
     */
    bound: number;
    stdMin: Column;
    stdMean: Column;
    highGain: Column;
    maxZ: Column;
    gain: Column;
    xvMin: Column;
    xvMax: Column;
    xkMin: Column;
    xkMax: Column;
    outMin: Column;
    outMax: Column;
    keyMin: Column;
    keyMax: Column;
    nonFinite: Column;
  };
}
/**
 * What a run waits for that start or open makes ready: its text, the recording of its programs, the GPU's kernels, its weights, its checkpoint; and how many of them are done, total 0: not known.
 */
export interface PreparingEvent {
  event: "preparing";
  data: {
    what: "text" | "programs" | "kernels" | "weights" | "checkpoint";
    done: Count;
    total: Count;
  };
}
