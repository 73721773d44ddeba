use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use attendance_matching::{DIMENSIONS, Nearest, Packed, nearest};

use crate::ports::{Change, GalleryVersion};
use crate::{Embedding, ModelId, Roster, StudentId};

/// The largest distance that is a match. Finite and greater than zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Tolerance(f32);

impl Tolerance {
    /// Returns the tolerance, or `None` if the number is not finite or not greater than zero.
    #[must_use]
    pub fn new(distance: f32) -> Option<Self> {
        (distance.is_finite() && distance > 0.0).then_some(Self(distance))
    }

    /// Returns the distance.
    #[must_use]
    pub fn distance(self) -> f32 {
        self.0
    }

    /// Whether a distance is a match: at most the tolerance, as the replaced service has it.
    #[must_use]
    pub fn admits(self, distance: f32) -> bool {
        distance <= self.0
    }
}

/// Who a face is: a student, or nobody who is enrolled. Displayed as the student id or `Unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Label {
    Student(StudentId),
    Unknown,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Student(id) => id.fmt(f),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// The student whose embedding is nearest to a face.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The student.
    pub student: StudentId,
    /// The distance to the nearest of the student's embeddings.
    pub distance: f32,
}

/// The answer to "who is this?".
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The student, if the nearest is within the tolerance.
    pub label: Label,
    /// The distance to the nearest embedding of anyone, also for an unknown face; `None` if nobody is enrolled.
    pub distance: Option<f32>,
}

/// Returns a distance as clients see it: rounded to 4 decimals.
#[must_use]
pub fn rounded(distance: f32) -> f64 {
    (f64::from(distance) * 1e4).round() / 1e4
}

/// Embeddings in one segment: small enough that packing one anew for a change is cheap, large enough that a search over
/// segments costs the same as over one.
const SEGMENT: usize = 4096;

struct Segment {
    enrollments: Vec<u128>,
    students: Vec<StudentId>,
    vectors: Packed,
}

/// What a segment is made of.
#[derive(Default)]
struct Parts {
    enrollments: Vec<u128>,
    students: Vec<StudentId>,
    vectors: Vec<[f32; DIMENSIONS]>,
}

impl Parts {
    /// Returns the parts of a segment whose enrolment `keep` wants.
    fn of(segment: &Segment, keep: impl Fn(u128) -> bool) -> Self {
        let mut parts = Self::default();
        let each = segment.enrollments.iter().zip(&segment.students).zip(segment.vectors.rows());
        for ((enrollment, student), vector) in each.filter(|((enrollment, _), _)| keep(**enrollment)) {
            parts.push(*enrollment, student.clone(), *vector);
        }
        parts
    }

    fn push(&mut self, enrollment: u128, student: StudentId, vector: [f32; DIMENSIONS]) {
        self.enrollments.push(enrollment);
        self.students.push(student);
        self.vectors.push(vector);
    }

    fn pack(self) -> Arc<Segment> {
        let Self { enrollments, students, vectors } = self;
        Arc::new(Segment { enrollments, students, vectors: Packed::new(vectors) })
    }
}

/// Everybody who is enrolled, in memory, as of one [`GalleryVersion`], with embeddings of one model that it
/// [`holds`](Self::holds); those of another number of dimensions panic.
///
/// It is a value: a change makes a new one that shares all untouched segments with the old one, so a recognition that
/// runs meanwhile keeps what it started with. 512 bytes per face for the numbers, 70 that make the search fast, and 32 for
/// its student and enrolment.
#[derive(Clone, Default)]
pub struct Gallery {
    version: GalleryVersion,
    segments: Vec<Arc<Segment>>,
}

impl Gallery {
    /// Whether a gallery can hold embeddings of this model: the search is compiled for one number of dimensions.
    #[must_use]
    pub fn holds(model: &ModelId) -> bool {
        model.dimensions() == DIMENSIONS
    }

    /// Returns the version of the store that this gallery shows.
    #[must_use]
    pub fn version(&self) -> &GalleryVersion {
        &self.version
    }

    /// Returns how many embeddings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.iter().map(|s| s.enrollments.len()).sum()
    }

    /// Whether nobody is enrolled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the gallery after these changes, at `version`. An enrolment that is here already is not added again, and
    /// removing one that is not here does nothing, so changes may be applied twice.
    #[must_use]
    pub fn with_changes(&self, changes: Vec<Change>, version: GalleryVersion) -> Self {
        let mut next = self.clone();
        next.version = version;
        // A removal wins over an addition of the same enrolment, whatever their order: ids are never used twice.
        let removed: HashSet<u128> =
            changes.iter().filter_map(|c| if let Change::Remove { id } = c { Some(id.0) } else { None }).collect();
        if !removed.is_empty() {
            next.remove(&removed);
        }
        let arriving: HashSet<u128> =
            changes.iter().filter_map(|c| if let Change::Add { id, .. } = c { Some(id.0) } else { None }).collect();
        let enrolled = next.segments.iter().flat_map(|s| &s.enrollments);
        let mut present: HashSet<u128> = enrolled.filter(|id| arriving.contains(id)).copied().collect();
        let mut open = None;
        for change in changes {
            let Change::Add { id, student, embeddings } = change else { continue };
            if removed.contains(&id.0) || !present.insert(id.0) {
                continue;
            }
            for embedding in &embeddings {
                let parts = open.get_or_insert_with(|| next.take_open());
                if parts.vectors.len() == SEGMENT {
                    next.segments.push(std::mem::take(parts).pack());
                }
                parts.push(id.0, student.clone(), *embedding.array());
            }
        }
        next.segments.extend(open.map(Parts::pack));
        next
    }

    /// Returns the part of the gallery that holds the students of the roster, and nobody else.
    #[must_use]
    pub fn among(&self, roster: &Roster) -> Self {
        let mut parts = Parts::default();
        for segment in &self.segments {
            let each = segment.enrollments.iter().zip(&segment.students).zip(segment.vectors.rows());
            for ((enrollment, student), vector) in each.filter(|((_, student), _)| roster.has(student)) {
                parts.push(*enrollment, student.clone(), *vector);
            }
        }
        let segments = if parts.vectors.is_empty() { Vec::new() } else { vec![parts.pack()] };
        Self { version: self.version.clone(), segments }
    }

    /// Returns the nearest student, or `None` if nobody is enrolled. Several embeddings of one student count as one
    /// candidate: the nearest.
    #[must_use]
    pub fn nearest(&self, embedding: &Embedding) -> Option<Match> {
        let found = nearest(self.segments.iter().map(|s| &s.vectors), embedding.array())?;
        let Nearest { segment, row, squared_distance } = found;
        Some(Match { student: self.segments[segment].students[row].clone(), distance: squared_distance.sqrt() })
    }

    /// Returns who this is, at this tolerance.
    #[must_use]
    pub fn identify(&self, embedding: &Embedding, tolerance: Tolerance) -> Identity {
        match self.nearest(embedding) {
            None => Identity { label: Label::Unknown, distance: None },
            Some(Match { student, distance }) => Identity {
                label: if tolerance.admits(distance) { Label::Student(student) } else { Label::Unknown },
                distance: Some(distance),
            },
        }
    }

    /// Takes the last segment apart if it has room.
    fn take_open(&mut self) -> Parts {
        let last = self.segments.pop_if(|last| last.enrollments.len() < SEGMENT);
        last.map(|last| Parts::of(&last, |_| true)).unwrap_or_default()
    }

    fn remove(&mut self, removed: &HashSet<u128>) {
        for segment in &mut self.segments {
            if segment.enrollments.iter().any(|id| removed.contains(id)) {
                *segment = Parts::of(segment, |id| !removed.contains(&id)).pack();
            }
        }
        self.segments.retain(|s| !s.enrollments.is_empty());
    }
}

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gallery").field("version", &self.version).field("embeddings", &self.len()).finish()
    }
}
