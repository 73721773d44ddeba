//! Non-maximum suppression: one box per face.

use crate::geometry::Rect;

/// When two boxes show the same face, as in dlib's `test_box_overlap`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overlap {
    /// The largest share of the rectangle **around both** (not of their union) that their common area may take.
    pub(crate) around: f64,
    /// The largest share of either box that their common area may take.
    pub(crate) covered: f64,
}

impl Overlap {
    fn is_exceeded_by(self, a: &Rect, b: &Rect) -> bool {
        let common = a.intersection(b).area() as f64;
        common > 0.0
            && (common / a.around(b).area() as f64 > self.around
                || common / a.area() as f64 > self.covered
                || common / b.area() as f64 > self.covered)
    }
}

/// Returns, of items in order of preference, those that overlap none kept before them. `rect` gives an item's box.
#[must_use]
pub(crate) fn suppress_overlaps<T>(
    items: impl IntoIterator<Item = T>,
    limit: Overlap,
    rect: impl Fn(&T) -> &Rect,
) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if !kept.iter().any(|other| limit.is_exceeded_by(rect(other), rect(&item))) {
            kept.push(item);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_overlapping_boxes_the_first_stays() {
        let limit = Overlap { around: 0.33, covered: 0.78 };
        let rect = |[left, top, right, bottom]: [i64; 4]| Rect { left, top, right, bottom };
        let first = rect([0, 0, 99, 99]);
        let kept = |other| suppress_overlaps([first, rect(other)], limit, |rect| rect);
        assert_eq!(kept([10, 10, 109, 109]), [first]);
        assert_eq!(kept([50, 50, 149, 149]).len(), 2);
        // Covered by the first one, though a small part of it.
        assert_eq!(kept([40, 40, 59, 59]), [first]);
        assert_eq!(kept([200, 0, 299, 99]).len(), 2);
        // Beside and above at once: no area in common, though both differences are negative.
        assert_eq!(kept([300, 300, 399, 399]).len(), 2);
    }
}
