use std::collections::BTreeMap;

use attendance::ports::{Change, EnrollmentId, GalleryVersion};
use attendance::{Embedding, Gallery, Identity, Label, Match, Roster, StudentId, Tolerance};
use attendance_matching::DIMENSIONS;
use proptest::prelude::*;

use crate::school::student;

/// Few students, enrolments and places, so that random changes meet.
fn embedding(place: u8) -> Embedding {
    let mut values = [0.0; DIMENSIONS];
    values[usize::from(place % 16)] = f32::from(place / 16) / 4.0;
    Embedding::new(&values).expect("finite")
}

#[derive(Debug, Clone)]
enum Step {
    Add { id: u8, places: Vec<u8> },
    Remove { id: u8 },
    // Ends a batch of changes.
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<u8>(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(id, places)| Step::Add { id, places }),
        2 => any::<u8>().prop_map(|id| Step::Remove { id }),
        1 => Just(Step::Read),
    ];
    prop::collection::vec(step, 0..120)
}

/// What the gallery has to be, kept in the plainest way.
#[derive(Default)]
struct Model {
    enrolled: BTreeMap<u8, (StudentId, Vec<Embedding>)>,
    used: std::collections::BTreeSet<u8>,
}

impl Model {
    fn nearest(&self, face: &Embedding) -> Option<f32> {
        let all = self.enrolled.values().flat_map(|(_, embeddings)| embeddings);
        all.map(|e| e.distance(face)).min_by(f32::total_cmp)
    }

    fn nearest_of(&self, student: &StudentId, face: &Embedding) -> Option<f32> {
        let own = self.enrolled.values().filter(|(s, _)| s == student).flat_map(|(_, embeddings)| embeddings);
        own.map(|e| e.distance(face)).min_by(f32::total_cmp)
    }

    fn len(&self) -> usize {
        self.enrolled.values().map(|(_, embeddings)| embeddings.len()).sum()
    }
}

proptest! {
    #[test]
    fn the_gallery_is_what_its_changes_say(steps in steps(), twice in any::<bool>(), probe in any::<u8>()) {
        let mut model = Model::default();
        let mut gallery = Gallery::default();
        let mut batch = Vec::new();
        let mut version = 0;
        for step in steps.into_iter().chain([Step::Read]) {
            match step {
                Step::Add { id, places } => {
                    // An id is never used twice.
                    if !model.used.insert(id) {
                        continue;
                    }
                    let who = student(&format!("s{}", id % 5));
                    let embeddings: Vec<_> = places.into_iter().map(embedding).collect();
                    model.enrolled.insert(id, (who.clone(), embeddings.clone()));
                    batch.push(Change::Add { id: EnrollmentId(id.into()), student: who, embeddings });
                }
                Step::Remove { id } => {
                    if model.enrolled.remove(&id).is_some() {
                        batch.push(Change::Remove { id: EnrollmentId(id.into()) });
                    }
                }
                Step::Read => {
                    version += 1;
                    let before = gallery.clone();
                    let held = before.len();
                    let changes = std::mem::take(&mut batch);
                    gallery = before.with_changes(changes.clone(), GalleryVersion(vec![version]));
                    if twice {
                        gallery = gallery.with_changes(changes, GalleryVersion(vec![version]));
                    }
                    prop_assert_eq!(before.len(), held, "who still uses the old one keeps it");
                    prop_assert_eq!(gallery.len(), model.len());
                    prop_assert_eq!(gallery.version(), &GalleryVersion(vec![version]));
                    for place in [probe, probe.wrapping_add(17), probe.wrapping_mul(3)] {
                        let face = embedding(place);
                        let nearest = gallery.nearest(&face);
                        prop_assert_eq!(nearest.as_ref().map(|m| m.distance), model.nearest(&face));
                        // Where two students are equally near either is right.
                        if let Some(Match { student, distance }) = nearest {
                            prop_assert_eq!(model.nearest_of(&student, &face), Some(distance));
                        }
                        let among = gallery.among(&Roster::parse("s1,s3").expect("ids")).nearest(&face);
                        let of = ["s1", "s3"].map(|id| model.nearest_of(&student(id), &face));
                        let expected = of.into_iter().flatten().min_by(f32::total_cmp);
                        prop_assert_eq!(among.as_ref().map(|m| m.distance), expected);
                        prop_assert!(among.is_none_or(|m| ["s1", "s3"].contains(&m.student.as_str())));
                    }
                }
            }
        }
    }

    #[test]
    fn the_distance_is_euclidean(
        a in prop::collection::vec(-1.0f32..1.0, DIMENSIONS),
        b in prop::collection::vec(-1.0f32..1.0, DIMENSIONS),
    ) {
        let exact = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
        let (a, b) = (Embedding::new(&a).expect("finite"), Embedding::new(&b).expect("finite"));
        prop_assert!((f64::from(a.distance(&b)) - exact).abs() < 1e-5);
        prop_assert_eq!(a.distance(&b), b.distance(&a));
        prop_assert_eq!(a.distance(&a), 0.0);
        prop_assert_eq!(Embedding::from_bytes(&a.to_bytes()), Ok(a));
    }
}

#[test]
fn changes_over_many_segments_keep_every_embedding() {
    // More than the 4096 embeddings of a segment.
    const ENROLLMENTS: u16 = 9000;
    let add = |id: u16| {
        let values: Vec<f32> =
            (0..DIMENSIONS as u16).map(|d| if d < 16 { f32::from(id >> d & 1) } else { 0.0 }).collect();
        let embedding = Embedding::new(&values).expect("finite");
        Change::Add { id: EnrollmentId(id.into()), student: student(&format!("s{id}")), embeddings: vec![embedding] }
    };
    let find = |gallery: &Gallery, id: u16| {
        let Change::Add { embeddings, .. } = add(id) else { unreachable!() };
        gallery.nearest(&embeddings[0]).expect("somebody is enrolled")
    };
    let full = Gallery::default().with_changes((0..ENROLLMENTS).map(add).collect(), GalleryVersion(vec![1]));
    assert_eq!(full.len(), usize::from(ENROLLMENTS));
    let removed = (0..ENROLLMENTS).step_by(3).map(|id| Change::Remove { id: EnrollmentId(id.into()) });
    let thinned = full.with_changes(removed.collect(), GalleryVersion(vec![2]));
    assert_eq!((full.len(), thinned.len()), (9000, 6000));
    for id in [0, 1, 4095, 4096, 4097, 8191, 8192, 8998, 8999] {
        assert_eq!(find(&full, id), Match { student: student(&format!("s{id}")), distance: 0.0 });
        let left = find(&thinned, id);
        assert_eq!(left.distance == 0.0, id % 3 != 0, "{id}: {left:?}");
    }
    let refilled = thinned.with_changes((0..ENROLLMENTS).map(add).collect(), GalleryVersion(vec![3]));
    assert_eq!(refilled.len(), 9000, "those that stayed are not added again");
}

#[test]
fn an_identity_says_who_and_how_far() {
    let tolerance = Tolerance::new(0.25).expect("a tolerance");
    let probe = embedding(16);
    assert_eq!(Gallery::default().identify(&probe, tolerance), Identity { label: Label::Unknown, distance: None });
    let add = Change::Add { id: EnrollmentId(1), student: student("a"), embeddings: vec![embedding(0)] };
    let gallery = Gallery::default().with_changes(vec![add], GalleryVersion(vec![1]));
    assert_eq!(
        gallery.identify(&probe, tolerance),
        Identity { label: Label::Student(student("a")), distance: Some(0.25) }
    );
    assert_eq!(gallery.identify(&embedding(32), tolerance), Identity { label: Label::Unknown, distance: Some(0.5) });
    for wrong in [0.0, -0.1, f32::NAN, f32::INFINITY] {
        assert_eq!(Tolerance::new(wrong), None);
    }
}
