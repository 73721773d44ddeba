use crate::code::Sight;
use crate::kernel::{BLOCK, Path, prefetch};
use crate::{DIMENSIONS, Packed, squared_distance};

/// Rows that wait to be compared: enough that the best of many is known before most of them are looked at, few enough
/// that they stay in the cache.
const WAITING: usize = 8192;

/// Rows that are fetched from memory while one is compared.
const AHEAD: usize = 8;

/// The row that is nearest to a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest {
    /// Which of the packed lists it is in, from 0.
    pub segment: usize,
    /// Which of the list's rows it is, from 0.
    pub row: usize,
    /// Its [`squared_distance`].
    pub squared_distance: f32,
}

/// Returns the row of all these that is nearest to the probe, of equally near ones the first, or `None` where there is
/// no row. The probe's numbers have to be finite.
#[must_use]
pub fn nearest<'a>(segments: impl IntoIterator<Item = &'a Packed>, probe: &[f32; DIMENSIONS]) -> Option<Nearest> {
    nearest_on(Path::best(), segments, probe)
}

pub(crate) fn nearest_on<'a>(
    path: Path,
    segments: impl IntoIterator<Item = &'a Packed>,
    probe: &[f32; DIMENSIONS],
) -> Option<Nearest> {
    let mut search = Search { probe, best: None, waiting: Vec::new() };
    for (segment, packed) in segments.into_iter().enumerate() {
        match packed.codes.sight(probe) {
            Some(sight) => search.pass(path, segment, packed, &sight),
            None => (0..packed.rows.len()).for_each(|row| search.compare(segment, row, &packed.rows[row])),
        }
    }
    search.settle();
    search.best
}

/// The least ‖q − c‖² with which a row with a residual of at most this cannot be nearer than `best`, nor as near.
pub(crate) fn bar(best: f32, residual: f64) -> f64 {
    let away = ((f64::from(best) + 1e-40) * (1.0 + 2f64.powi(-17))).sqrt() + residual;
    away * away * (1.0 + 2f64.powi(-40))
}

struct Search<'a, 'p> {
    probe: &'p [f32; DIMENSIONS],
    best: Option<Nearest>,
    waiting: Vec<Waiting<'a>>,
}

/// A row that the first pass could not drop with the best of its time.
struct Waiting<'a> {
    values: &'a [f32; DIMENSIONS],
    segment: u32,
    row: u32,
    /// What ‖q − c‖² is at least.
    floor: f64,
    residual: f64,
}

impl<'a> Search<'a, '_> {
    /// The squared distance of the best so far.
    fn reach(&self) -> f32 {
        self.best.map_or(f32::INFINITY, |best| best.squared_distance)
    }

    fn pass(&mut self, path: Path, segment: usize, packed: &'a Packed, sight: &Sight) {
        let blocks = packed.codes.blocks();
        let mut seen = [0.0; BLOCK];
        for (b, block) in blocks.iter().enumerate() {
            let next = &blocks[(b + 1).min(blocks.len() - 1)];
            let limit = sight.limit(bar(self.reach(), block.residual()));
            let mut survivors = path.survivors(block, next, sight, limit, &mut seen);
            while survivors != 0 {
                let at = survivors.trailing_zeros() as usize;
                survivors &= survivors - 1;
                let row = b * BLOCK + at;
                let (values, residual) = (&packed.rows[row], block.residual_of(at));
                let floor = sight.floor(seen[at]);
                // Comparing at once what seems to be the nearest leaves less of the others to be compared.
                if floor + sight.blur + residual * residual < f64::from(self.reach()) {
                    self.compare(segment, row, values);
                } else if floor < bar(self.reach(), residual) {
                    if self.waiting.len() == WAITING {
                        self.settle();
                    }
                    self.waiting.push(Waiting { values, segment: segment as u32, row: row as u32, floor, residual });
                }
            }
        }
    }

    /// Compares the rows that wait, as far as the best still leaves them a chance.
    fn settle(&mut self) {
        let reach = self.reach();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|row| row.floor < bar(reach, row.residual));
        for (i, row) in waiting.iter().enumerate() {
            if let Some(later) = waiting.get(i + AHEAD) {
                prefetch(later.values);
            }
            if row.floor < bar(self.reach(), row.residual) {
                self.compare(row.segment as usize, row.row as usize, row.values);
            }
        }
        waiting.clear();
        self.waiting = waiting;
    }

    fn compare(&mut self, segment: usize, row: usize, values: &[f32; DIMENSIONS]) {
        let squared_distance = squared_distance(self.probe, values);
        let better = |best: &Nearest| {
            squared_distance < best.squared_distance
                || squared_distance == best.squared_distance && (segment, row) < (best.segment, best.row)
        };
        if self.best.as_ref().is_none_or(better) {
            self.best = Some(Nearest { segment, row, squared_distance });
        }
    }
}
