//! The search: a first pass over codes, then exact distances of the rows that it leaves.

use crate::block::BLOCK;
use crate::distance::{DIMENSIONS, squared_distance};
use crate::kernel::{SimdLevel, prefetch};
use crate::packed::Packed;
use crate::query::EncodedQuery;

/// Rows that are held for rescoring: enough that the best of many is known before most of them are looked at, few enough
/// that they stay in the cache.
const MAX_CANDIDATES: usize = 8192;

/// Rows that are fetched from memory while one is compared.
const AHEAD: usize = 8;

/// The row that is nearest to a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// Which of the packed lists it is in, from 0.
    pub segment: usize,
    /// Which of the list's rows it is, from 0.
    pub row: usize,
    /// Its [`squared_distance`].
    pub squared_distance: f32,
}

/// Returns the row of all these that is nearest to the query, of equally near ones the first, or `None` if there is no
/// row. The query's numbers have to be finite.
#[must_use]
pub fn nearest<'a>(segments: impl IntoIterator<Item = &'a Packed>, query: &[f32; DIMENSIONS]) -> Option<Nearest> {
    nearest_on(SimdLevel::detect(), segments, query)
}

pub(crate) fn nearest_on<'a>(
    level: SimdLevel,
    segments: impl IntoIterator<Item = &'a Packed>,
    query: &[f32; DIMENSIONS],
) -> Option<Nearest> {
    let mut search = Search { query, best: None, candidates: Vec::new() };
    for (segment, packed) in segments.into_iter().enumerate() {
        match packed.codes().encode_query(query) {
            Some(encoded) => search.pass(level, segment, packed, &encoded),
            None => packed.rows().iter().enumerate().for_each(|(row, values)| search.compare(segment, row, values)),
        }
    }
    search.rescore();
    search.best
}

/// Returns the least ‖q − c‖² with which a row with a residual of at most this cannot be nearer than `best`, nor as near.
pub(crate) fn bar(best: f32, residual: f64) -> f64 {
    let away = ((f64::from(best) + 1e-40) * (1.0 + 2f64.powi(-17))).sqrt() + residual;
    away * away * (1.0 + 2f64.powi(-40))
}

struct Search<'a, 'q> {
    query: &'q [f32; DIMENSIONS],
    best: Option<Nearest>,
    candidates: Vec<Candidate<'a>>,
}

/// A row that the first pass could not drop with the best known then.
struct Candidate<'a> {
    values: &'a [f32; DIMENSIONS],
    segment: u32,
    row: u32,
    /// A lower bound of ‖q − c‖².
    floor: f64,
    residual: f64,
}

impl<'a> Search<'a, '_> {
    /// Returns the squared distance of the best so far.
    fn best_distance(&self) -> f32 {
        self.best.map_or(f32::INFINITY, |best| best.squared_distance)
    }

    fn pass(&mut self, level: SimdLevel, segment: usize, packed: &'a Packed, encoded: &EncodedQuery) {
        let blocks = packed.codes().blocks();
        let mut seen = [0.0; BLOCK];
        for (b, block) in blocks.iter().enumerate() {
            let next = &blocks[(b + 1).min(blocks.len() - 1)];
            let limit = encoded.limit(bar(self.best_distance(), block.residual()));
            let mut survivors = level.survivors(block, next, encoded, limit, &mut seen);
            while survivors != 0 {
                let at = survivors.trailing_zeros() as usize;
                survivors &= survivors - 1;
                let row = b * BLOCK + at;
                let (values, residual) = (&packed.rows()[row], block.residual_of(at));
                let floor = encoded.floor(seen[at]);
                // Comparing at once what seems to be the nearest leaves less of the others to be compared.
                if floor + encoded.blur + residual * residual < f64::from(self.best_distance()) {
                    self.compare(segment, row, values);
                } else if floor < bar(self.best_distance(), residual) {
                    if self.candidates.len() == MAX_CANDIDATES {
                        self.rescore();
                    }
                    self.candidates.push(Candidate {
                        values,
                        segment: segment as u32,
                        row: row as u32,
                        floor,
                        residual,
                    });
                }
            }
        }
    }

    /// Computes the exact distance of the candidates that the best so far still leaves a chance.
    fn rescore(&mut self) {
        let best_distance = self.best_distance();
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.retain(|row| row.floor < bar(best_distance, row.residual));
        for (i, row) in candidates.iter().enumerate() {
            if let Some(later) = candidates.get(i + AHEAD) {
                prefetch(later.values);
            }
            if row.floor < bar(self.best_distance(), row.residual) {
                self.compare(row.segment as usize, row.row as usize, row.values);
            }
        }
        candidates.clear();
        self.candidates = candidates;
    }

    fn compare(&mut self, segment: usize, row: usize, values: &[f32; DIMENSIONS]) {
        let squared_distance = squared_distance(self.query, values);
        let better = |best: &Nearest| {
            squared_distance < best.squared_distance
                || squared_distance == best.squared_distance && (segment, row) < (best.segment, best.row)
        };
        if self.best.as_ref().is_none_or(better) {
            self.best = Some(Nearest { segment, row, squared_distance });
        }
    }
}
