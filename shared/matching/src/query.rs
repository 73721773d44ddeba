//! A query as the first pass sees it. The symbols are those of the crate's proof.

use crate::distance::DIMENSIONS;

/// A query encoded in the terms of one set of codes.
pub(crate) struct EncodedQuery {
    /// m: the query's weights.
    pub(crate) weights: [i8; DIMENSIONS],
    /// 2t: what one unit of weight times code takes from the squared distance.
    pub(crate) unit: f32,
    /// F: by how much ‖q − c‖² is likely to be above its lower bound.
    pub(crate) blur: f64,
    /// How much larger v is than that lower bound.
    pub(crate) rest: f64,
}

impl EncodedQuery {
    /// Returns the v from which on ‖q − c‖² is at least `bar`.
    pub(crate) fn limit(&self, bar: f64) -> f32 {
        ((bar + self.rest) as f32).next_up()
    }

    /// Returns a lower bound of ‖q − c‖², for a row's v.
    pub(crate) fn floor(&self, v: f32) -> f64 {
        f64::from(v) - self.rest
    }
}
