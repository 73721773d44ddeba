//! The nearest of many embeddings: exactly the answer of a scan over all of them, at a fraction of its time.
//!
//! A scan of 128 `f32` per row is limited by memory: 512 bytes per row have to come by. [`Packed`] keeps, beside the exact
//! rows, a code of four bits per number and a few numbers more (70 bytes per row). A first pass reads only those and proves
//! for almost every row that it cannot be the nearest; [`squared_distance`] decides among the rest. The first pass
//! runs on AVX-512 VNNI, AVX2, SSE2, NEON or plain code, chosen at run time.
//!
//! # Why no nearest row is lost
//!
//! Let x be a row, q the query and c the point that x's code stands for. All of them are points with real coordinates:
//! for dimension j, c<sub>j</sub> = o<sub>j</sub> + s<sub>j</sub> k<sub>j</sub> with the origin o and step s of the
//! packed rows (`f32` each) and the code k<sub>j</sub> in 0..=15. Packing computes r ≥ ‖x − c‖, so by the triangle
//! inequality ‖q − x‖ ≥ ‖q − c‖ − r: a row with
//!
//! > (1) ‖q − c‖² ≥ (b + r)²
//!
//! is at least b away. It remains to bound ‖q − c‖² from below by integer arithmetic. With y = q − o,
//!
//! > ‖q − c‖² = ‖y‖² + N − 2 Σ y<sub>j</sub> s<sub>j</sub> k<sub>j</sub>, where N = Σ (s<sub>j</sub> k<sub>j</sub>)².
//!
//! The query's weights y<sub>j</sub> s<sub>j</sub> become t m<sub>j</sub> + e<sub>j</sub> with an `f32` t, integers
//! m<sub>j</sub> in −127..=127 and what is left, e<sub>j</sub>. Write k = 7.5 + h and let H be the largest ‖h‖ of the
//! packed rows (‖2h‖² is an integer); then by Cauchy and Schwarz 2 Σ e<sub>j</sub> k<sub>j</sub> is within F = 2H ‖e‖ of
//! 15 Σ e<sub>j</sub>. So, with the integer p = Σ m<sub>j</sub> k<sub>j</sub>,
//!
//! > (2) ‖q − c‖² ≥ ‖y‖² + (N − 2 t p) − 15 Σ e<sub>j</sub> − F.
//!
//! The first pass computes v = N − 2 t p and drops the row if v ≥ (b + r)² + F + 15 Σ e<sub>j</sub> − ‖y‖²: by (2)
//! that implies (1). It does so with the largest r of 64 rows; a row that is left is tried again with its own r, and
//! once more when the best of many rows is known.
//!
//! **Rounding.** Let u = 2⁻²⁴, and G = ‖y‖² + Σ (15 s<sub>j</sub>)². Then N ≤ G and 30 Σ |y<sub>j</sub> s<sub>j</sub>| ≤ G
//! (2ab ≤ a² + b²), and |t m<sub>j</sub>| ≤ 2 |y<sub>j</sub> s<sub>j</sub>|, hence |2 t p| ≤ 2 G.
//! Also F ≤ 6 G, since |e<sub>j</sub>| ≤ |y<sub>j</sub> s<sub>j</sub>| and 2H ≤ 15 √128.
//! - p is exact: |p| ≤ 128 · 127 · 15 < 2²⁴, also as an `f32`. N is stored rounded down. 2t is exact. The product and the
//!   subtraction of v round once each, by at most u · 2G and u · 3.1G. Rounding at the bottom of the range adds nothing:
//!   t is zero or normal, so the product is zero or normal, and a subtraction whose result is subnormal is exact.
//! - What is computed in `f64` (‖y‖², e, F, the sum of them) is off by less than 2⁻⁴⁰ G together. A slack of 2⁻²¹ G = 8uG
//!   on the limit pays for both; the limit itself is then rounded up to `f32`.
//! - r: coordinates x − o − s k in `f64` are off by at most 2⁻⁵² (|x − c| + 30 s), so the computed norm, made larger by
//!   2⁻²⁰ of itself and 2⁻⁴⁰ Σ s, is an upper bound; it is rounded up to `f32`, and a row's own to the next 255th of the
//!   largest.
//! - b: what has to be larger than the best so far, B, is not the distance d = ‖q − x‖ but what
//!   [`squared_distance`] makes of it. It rounds a difference and a square once each and adds at most 8 + 16 times, all
//!   terms positive, so its result is at least d² (1 − ε) − η with ε = 2⁻¹⁸ > 27u and η = 10⁻⁴⁰ > 128 · 2⁻¹⁵⁰ for squares
//!   that underflow (if it overflows it is infinite; B is finite, or no row is dropped). b² = (B + η)(1 + 2ε) is
//!   therefore large enough, since (1 − ε)(1 + 2ε) > 1.
//! - If G is not below 10³⁰, nothing above could overflow but is not relied on: every row is compared exactly.
//!
//! The numbers are those of 128 dimensions. They hold up to 512, where |p| ≤ 512 · 127 · 15 < 2²⁴, at most 32 + 16 additions
//! leave ε > 51u, and F is within 12 G, which only the `f64` terms feel.
//!
//! All of this makes a dropped row's [`squared_distance`] larger than B, not only as large: (1 − ε)(1 + 2ε) > 1. So the
//! order in which rows are compared is free, and of equally near rows the first wins, as in a scan.

mod block;
mod code;
mod distance;
mod kernel;
mod packed;
mod query;
mod search;
#[cfg(test)]
mod tests;

pub use distance::{DIMENSIONS, squared_distance};
pub use kernel::instructions;
pub use packed::Packed;
pub use search::{Nearest, nearest};
