// Where a face of a frame is on the screen.

/**
 * The part of a `source` picture that is seen when it covers a `view` of another shape, centred: `{x, y, width, height}`
 * in pixels of the source.
 */
export function seen(source, view) {
  const scale = Math.max(view.width / source.width, view.height / source.height);
  const width = Math.min(source.width, view.width / scale);
  const height = Math.min(source.height, view.height / scale);
  return { x: (source.width - width) / 2, y: (source.height - height) / 2, width, height };
}

/** The size of a frame of this shape whose longer side has at most `limit` pixels; never larger than it is. */
export function fitted({ width, height }, limit) {
  const scale = Math.min(1, limit / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * Where a box `[top, right, bottom, left]` of a frame lies in the mirrored view that shows all of the frame:
 * `{left, top, width, height}` in pixels of the view.
 */
export function mirrored([top, right, bottom, left], frame, view) {
  const x = view.width / frame.width;
  const y = view.height / frame.height;
  return { left: view.width - right * x, top: top * y, width: (right - left) * x, height: (bottom - top) * y };
}
