// The device's camera: it is opened again by itself when it can be.

import { settings } from './settings.js';

const RETRY_MS = 4000;

const problemOf = (error) =>
  ({
    NotAllowedError: 'refused',
    SecurityError: 'refused',
    NotFoundError: 'missing',
    OverconstrainedError: 'missing',
    NotReadableError: 'busy',
    AbortError: 'busy',
  })[error.name] ?? 'busy';

/**
 * A camera that plays in a `<video>`. Tells `state` when `state` changes, which is `off`, `starting`, `on`, `insecure`
 * (the browser gives no camera to this page), `refused`, `missing`, `busy` or `unplugged`.
 */
export class Camera extends EventTarget {
  state = 'off';
  #video;
  #stream = null;
  #timer = 0;
  #turn = 0;

  constructor(video) {
    super();
    this.#video = video;
    const again = () => this.state !== 'off' && this.state !== 'on' && this.state !== 'starting' && this.start();
    navigator.mediaDevices?.addEventListener('devicechange', again);
    // Asking while the answer is still open would show the browser's question again and again, so that what was
    // refused waits for the permission to change.
    navigator.permissions?.query({ name: 'camera' }).then(
      (permission) => permission.addEventListener('change', again),
      () => {},
    );
  }

  async start() {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) return this.#become('insecure');
    const turn = ++this.#turn;
    this.#become('starting');
    const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
    const which = settings.camera ? { deviceId: { ideal: settings.camera } } : { facingMode: 'user' };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...size, ...which } });
      if (turn !== this.#turn) return stop(stream);
      this.#stream = stream;
      stream.getVideoTracks()[0].addEventListener('ended', () => turn === this.#turn && this.#fail('unplugged'));
      this.#video.srcObject = stream;
      await this.#video.play();
      if (turn === this.#turn) this.#become('on');
    } catch (error) {
      if (turn === this.#turn) this.#fail(problemOf(error));
    }
  }

  /** Lets the camera go. */
  stop() {
    clearTimeout(this.#timer);
    this.#turn += 1;
    if (this.#stream) stop(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
    this.#become('off');
  }

  #fail(problem) {
    this.stop();
    this.#become(problem);
    if (problem !== 'refused') this.#timer = setTimeout(() => this.start(), RETRY_MS);
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }
}

const stop = (stream) => stream.getTracks().forEach((track) => track.stop());

/** A part of a picture, a video's for one (`{x, y, width, height}` in its pixels) as a JPEG of `size`. */
export function capture(picture, part, size, canvas) {
  Object.assign(canvas, size);
  canvas.getContext('2d').drawImage(picture, part.x, part.y, part.width, part.height, 0, 0, size.width, size.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the browser made no JPEG'))), 'image/jpeg', 0.9);
  });
}

/** The address under which this page would be given the camera, where it is not. */
export const secureAddress = () => `https://${location.host}${location.pathname}`;
