//! Rectangles and maps of the plane as dlib has them: the models were trained with exactly these roundings.

/// A rectangle of whole pixels whose right and bottom edges belong to it, so its width is `right - left + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rect {
    pub left: i64,
    pub top: i64,
    pub right: i64,
    pub bottom: i64,
}

impl Rect {
    /// The pixels it holds.
    #[must_use]
    pub fn area(&self) -> i64 {
        (self.right - self.left + 1).max(0) * (self.bottom - self.top + 1).max(0)
    }

    /// The pixels in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// The smallest rectangle around both.
    #[must_use]
    pub fn around(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }
}

/// A face that a detector found, before it is cut at the picture's edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where, in pixels of the upright picture.
    pub rect: Rect,
    /// How sure the detector is. Scores of two detectors cannot be compared.
    pub score: f64,
}

impl Detection {
    /// Orders detections by falling score.
    #[must_use]
    pub(crate) fn best_first(a: &Self, b: &Self) -> std::cmp::Ordering {
        b.score.total_cmp(&a.score)
    }
}

/// A point of the plane, x to the right and y down, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

impl Point {
    /// The point at these coordinates.
    #[must_use]
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The point turned around `centre` by `angle` (radians, from x towards y).
    #[must_use]
    pub fn rotated(self, centre: Self, angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        let (x, y) = (self.x - centre.x, self.y - centre.y);
        Self { x: cos * x - sin * y + centre.x, y: sin * x + cos * y + centre.y }
    }
}

/// A turn, a scale and a shift: maps `(x, y)` to `(a x - b y + shift.x, b x + a y + shift.y)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times cosine.
    pub a: f64,
    /// Scale times sine.
    pub b: f64,
    /// Where the origin goes.
    pub shift: Point,
}

impl Similarity {
    /// The similarity that takes `from` to `to` with the least sum of squared errors (Umeyama 1991, in the plane and
    /// without reflection). Both hold the same number of points, not all equal.
    #[must_use]
    pub fn fit(from: &[Point], to: &[Point]) -> Self {
        let n = from.len() as f64;
        let mean = |points: &[Point]| {
            let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
            Point::new(x / n, y / n)
        };
        let (mean_from, mean_to) = (mean(from), mean(to));
        let (mut dot, mut cross, mut spread) = (0.0, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let (fx, fy) = (f.x - mean_from.x, f.y - mean_from.y);
            let (tx, ty) = (t.x - mean_to.x, t.y - mean_to.y);
            dot += fx * tx + fy * ty;
            cross += fx * ty - fy * tx;
            spread += fx * fx + fy * fy;
        }
        let (a, b) = (dot / spread, cross / spread);
        let shift = Point::new(
            mean_to.x - (a * mean_from.x - b * mean_from.y),
            mean_to.y - (b * mean_from.x + a * mean_from.y),
        );
        Self { a, b, shift }
    }

    /// Where `p` goes.
    #[must_use]
    pub fn apply(&self, p: Point) -> Point {
        Point::new(self.a * p.x - self.b * p.y + self.shift.x, self.b * p.x + self.a * p.y + self.shift.y)
    }

    /// The scale.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.a.hypot(self.b)
    }

    /// The turn in radians, from x towards y.
    #[must_use]
    pub fn angle(&self) -> f64 {
        self.b.atan2(self.a)
    }
}
