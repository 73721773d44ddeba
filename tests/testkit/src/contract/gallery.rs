use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use attendance::ports::{
    Change, Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryCounts, GalleryStore, GalleryVersion,
};
use attendance::{Embedding, GalleryCache, Label, ModelId, PhotoDigest, PhotoFormat, StudentId, Timestamp, Tolerance};
use bytes::Bytes;
use tokio::sync::Barrier;

use super::Open;
use crate::face;

type Store = Arc<dyn GalleryStore>;

/// What every [`GalleryStore`] guarantees.
pub async fn gallery_store(fresh: impl AsyncFn() -> Open<dyn GalleryStore>) {
    nobody_is_enrolled_at_first(fresh().await).await;
    what_was_acknowledged_is_seen_by_another_handle(fresh().await).await;
    a_repeat_adds_nothing(fresh().await).await;
    one_picture_may_be_of_two_students(fresh().await).await;
    models_are_kept_apart(fresh().await).await;
    removal_erases_and_is_told(fresh().await).await;
    an_imported_enrolment_has_no_picture(fresh().await).await;
    equal_enrolments_at_once_are_one(fresh().await).await;
    a_follower_misses_nothing(fresh().await).await;
    removal_beside_enrolment_is_before_or_after(fresh().await).await;
    recognitions_beside_changes_are_current(fresh().await).await;
}

fn student(name: &str) -> StudentId {
    StudentId::parse(name).expect("a valid id")
}

fn model() -> ModelId {
    ModelId::new("model-a", 128)
}

/// An enrolment of this picture, with these people's faces.
fn enrollment(name: &str, photo: &str, people: &[usize]) -> Enrollment {
    let bytes = Bytes::from(photo.to_owned());
    Enrollment {
        id: EnrollmentId::generate(),
        student: student(name),
        digest: PhotoDigest::of(&bytes),
        origin: EnrollmentOrigin::Direct,
        photo: Some((PhotoFormat::Jpeg, bytes)),
        model: model(),
        faces: people.iter().map(|p| (face(*p, 0.25).embedding(), Some(Bytes::from_static(b"crop")))).collect(),
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

/// Somebody who reads the changes and keeps what they lead to.
#[derive(Default, PartialEq, Debug)]
struct Follower {
    version: GalleryVersion,
    seen: BTreeMap<EnrollmentId, (StudentId, Vec<Embedding>)>,
}

impl Follower {
    async fn follow(&mut self, store: &Store) {
        let (changes, version) = store.changes(&self.version, &model()).await.expect("changes");
        let mut removed = Vec::new();
        for change in changes {
            match change {
                Change::Add { id, student, embeddings } => {
                    assert!(!embeddings.is_empty(), "an addition has embeddings");
                    assert!(self.seen.insert(id, (student, embeddings)).is_none(), "an addition is told once");
                }
                Change::Remove { id } => removed.push(id),
            }
        }
        for id in removed {
            self.seen.remove(&id);
        }
        self.version = version;
    }

    async fn of(store: &Store) -> Self {
        let mut follower = Self::default();
        follower.follow(store).await;
        follower
    }

    fn students(&self) -> BTreeMap<StudentId, usize> {
        let mut students = BTreeMap::new();
        for (student, embeddings) in self.seen.values() {
            *students.entry(student.clone()).or_default() += embeddings.len();
        }
        students
    }
}

/// Every way of asking agrees with what a reader from the beginning sees.
async fn assert_agreed(store: &Store) -> BTreeMap<StudentId, usize> {
    let students = Follower::of(store).await.students();
    let listed = store.students().await.expect("students");
    assert_eq!(listed, students.clone().into_iter().collect::<Vec<_>>(), "the list agrees, in order");
    let counts = store.counts().await.expect("counts");
    assert_eq!(counts, GalleryCounts { encodings: students.values().sum(), labels: students.len() });
    students
}

async fn nobody_is_enrolled_at_first(open: Open<dyn GalleryStore>) {
    let store = open();
    assert_eq!(assert_agreed(&store).await, BTreeMap::new());
    let picture = enrollment("siswaA", "a", &[0]);
    assert_eq!(store.find(&picture.student, &picture.digest, &EnrollmentOrigin::Direct).await.expect("find"), None);
    assert_eq!(store.remove(&picture.student).await.expect("remove"), 0);
    let (changes, version) = store.changes(&GalleryVersion::default(), &model()).await.expect("changes");
    assert!(changes.is_empty());
    let (changes, again) = store.changes(&version, &model()).await.expect("changes");
    assert!(changes.is_empty() && again == version, "what did not change keeps its version");
}

async fn what_was_acknowledged_is_seen_by_another_handle(open: Open<dyn GalleryStore>) {
    let (one, other) = (open(), open());
    let mut follower = Follower::of(&other).await;
    for (name, photo, people) in [("siswaB", "b", vec![3]), ("siswaA", "a", vec![1, 2]), ("siswaB", "b2", vec![4])] {
        let picture = enrollment(name, photo, &people);
        let (id, digest) = (picture.id, picture.digest);
        let stored = Enrolled { saved: people.len(), new: true };
        assert_eq!(one.enroll(picture).await.expect("enroll"), stored);
        follower.follow(&other).await;
        let (who, embeddings) = follower.seen.get(&id).expect("acknowledged, so seen");
        assert_eq!(*who, student(name));
        assert_eq!(*embeddings, people.iter().map(|p| face(*p, 0.25).embedding()).collect::<Vec<_>>());
        let found = other.find(&student(name), &digest, &EnrollmentOrigin::Direct).await.expect("find");
        assert_eq!(found, Some(Enrolled { saved: people.len(), new: false }));
    }
    assert_eq!(follower, Follower::of(&other).await);
    assert_eq!(follower, Follower::of(&open()).await, "a handle opened later sees the same");
    assert_eq!(assert_agreed(&other).await, BTreeMap::from([(student("siswaA"), 2), (student("siswaB"), 2)]));
}

async fn a_repeat_adds_nothing(open: Open<dyn GalleryStore>) {
    let (one, other) = (open(), open());
    one.enroll(enrollment("siswaA", "a", &[0, 1])).await.expect("enroll");
    let before = Follower::of(&one).await;
    // What a repeat would store today does not matter, what the first stored does.
    for store in [&one, &other] {
        let repeat = store.enroll(enrollment("siswaA", "a", &[7])).await.expect("enroll");
        assert_eq!(repeat, Enrolled { saved: 2, new: false });
    }
    assert_eq!(Follower::of(&one).await, before, "not even the version moved");
}

async fn one_picture_may_be_of_two_students(open: Open<dyn GalleryStore>) {
    let store = open();
    for name in ["siswaA", "siswaB", "SISWAA"] {
        let stored = store.enroll(enrollment(name, "the same", &[0])).await.expect("enroll");
        assert!(stored.new, "{name}");
    }
    assert_eq!(assert_agreed(&store).await.len(), 3, "ids differ by case too");
}

async fn models_are_kept_apart(open: Open<dyn GalleryStore>) {
    let store = open();
    let mut follower = Follower::of(&store).await;
    let foreign = Enrollment { model: ModelId::new("model-b", 128), ..enrollment("siswaA", "a", &[0]) };
    store.enroll(foreign).await.expect("enroll");
    follower.follow(&store).await;
    assert!(follower.seen.is_empty(), "embeddings of two models are never compared");
    store.enroll(enrollment("siswaA", "b", &[1])).await.expect("enroll");
    follower.follow(&store).await;
    assert_eq!(follower.seen.len(), 1);
}

async fn removal_erases_and_is_told(open: Open<dyn GalleryStore>) {
    let (one, other) = (open(), open());
    for (name, photo) in [("siswaA", "a1"), ("siswaA", "a2"), ("siswaB", "b")] {
        one.enroll(enrollment(name, photo, &[0, 1])).await.expect("enroll");
    }
    let mut follower = Follower::of(&other).await;
    // Enrolled and removed between two reads: whether it is mentioned at all is the store's affair.
    one.enroll(enrollment("siswaA", "a3", &[2])).await.expect("enroll");
    assert_eq!(one.remove(&student("siswaA")).await.expect("remove"), 5);
    follower.follow(&other).await;
    assert_eq!(follower.students(), BTreeMap::from([(student("siswaB"), 2)]));
    assert_eq!(follower, Follower::of(&other).await);
    assert_agreed(&other).await;
    assert_eq!(
        other.find(&student("siswaA"), &PhotoDigest::of(b"a1"), &EnrollmentOrigin::Direct).await.expect("find"),
        None
    );
    assert_eq!(other.remove(&student("siswaA")).await.expect("remove"), 0, "a repeat finds nothing");

    let again = other.enroll(enrollment("siswaA", "a1", &[0])).await.expect("enroll");
    assert_eq!(again, Enrolled { saved: 1, new: true }, "who was removed may come back");
    follower.follow(&one).await;
    assert_eq!(follower, Follower::of(&one).await);
    assert_eq!(assert_agreed(&one).await, BTreeMap::from([(student("siswaA"), 1), (student("siswaB"), 2)]));
}

async fn an_imported_enrolment_has_no_picture(open: Open<dyn GalleryStore>) {
    let store = open();
    let imported = Enrollment {
        photo: None,
        faces: vec![(face(5, 0.0).embedding(), None), (face(6, 0.0).embedding(), None)],
        ..enrollment("siswaA", "rows of a file", &[])
    };
    assert_eq!(store.enroll(imported).await.expect("enroll"), Enrolled { saved: 2, new: true });
    assert_eq!(open().remove(&student("siswaA")).await.expect("remove"), 2);
    assert_eq!(assert_agreed(&store).await, BTreeMap::new());
}

async fn equal_enrolments_at_once_are_one(open: Open<dyn GalleryStore>) {
    const AT_ONCE: usize = 8;
    let handles = [open(), open()];
    for round in 0..10 {
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let (store, barrier) = (handles[n % 2].clone(), barrier.clone());
                tokio::spawn(async move {
                    let picture = enrollment("siswaA", &format!("picture {round}"), &[0, 1]);
                    barrier.wait().await;
                    store.enroll(picture).await.expect("enroll")
                })
            })
            .collect();
        let mut new = 0;
        for task in tasks {
            let enrolled = task.await.expect("no panic");
            assert_eq!(enrolled.saved, 2);
            new += usize::from(enrolled.new);
        }
        assert_eq!(new, 1, "one of {AT_ONCE} equal enrolments is stored");
    }
    assert_eq!(assert_agreed(&handles[0]).await, BTreeMap::from([(student("siswaA"), 20)]));
}

/// Nothing that was committed out of order, late or beside a read stays unseen.
async fn a_follower_misses_nothing(open: Open<dyn GalleryStore>) {
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, done) = (open(), done.clone());
        tokio::spawn(async move {
            let mut follower = Follower::default();
            loop {
                let last = done.load(Ordering::SeqCst);
                follower.follow(&store).await;
                if last {
                    return follower;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = open();
            tokio::spawn(async move {
                for n in 0..15 {
                    let name = format!("student-{}", n % 5);
                    store.enroll(enrollment(&name, &format!("{writer} {n}"), &[n])).await.expect("enroll");
                    if writer == 0 && n % 6 == 5 {
                        store.remove(&student(&name)).await.expect("remove");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("no panic");
    }
    done.store(true, Ordering::SeqCst);
    let follower = reader.await.expect("no panic");
    let store = open();
    assert_eq!(follower, Follower::of(&store).await);
    assert_agreed(&store).await;
}

async fn removal_beside_enrolment_is_before_or_after(open: Open<dyn GalleryStore>) {
    let (one, other) = (open(), open());
    let mut follower = Follower::default();
    for round in 0..20 {
        let barrier = Arc::new(Barrier::new(2));
        let enrolling = {
            let (store, barrier) = (one.clone(), barrier.clone());
            let picture = enrollment("siswaA", &format!("picture {round}"), &[0, 1]);
            tokio::spawn(async move {
                barrier.wait().await;
                store.enroll(picture).await.expect("enroll")
            })
        };
        barrier.wait().await;
        let removed = other.remove(&student("siswaA")).await.expect("remove");
        assert_eq!(enrolling.await.expect("no panic"), Enrolled { saved: 2, new: true });
        follower.follow(&one).await;
        let left = assert_agreed(&other).await.get(&student("siswaA")).copied().unwrap_or_default();
        assert_eq!(removed + left, 2, "all of it was removed, or none");
        assert!(left == 0 || left == 2);
        assert_eq!(follower.students().values().sum::<usize>(), left);
        one.remove(&student("siswaA")).await.expect("remove");
        follower.follow(&one).await;
    }
}

/// As recognitions see it through one cache, several at a time: who was acknowledged before one began is named by it, and who
/// was erased before is not.
async fn recognitions_beside_changes_are_current(open: Open<dyn GalleryStore>) {
    const ROUNDS: usize = 10;
    const END: usize = usize::MAX;
    // Even while nothing changes: nobody is there, then somebody, then nobody again.
    let step = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(AtomicUsize::new(0));
    let cache = Arc::new(GalleryCache::new(open(), model()));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (cache, step, seen) = (cache.clone(), step.clone(), seen.clone());
            tokio::spawn(async move {
                let tolerance = Tolerance::new(0.45).expect("a tolerance");
                loop {
                    let before = step.load(Ordering::SeqCst);
                    if before == END {
                        return;
                    }
                    let gallery = cache.current().await.expect("the gallery");
                    if before % 2 == 0 && step.load(Ordering::SeqCst) == before {
                        let there = before % 4 == 2;
                        let label = if there { Label::Student(student("siswaA")) } else { Label::Unknown };
                        assert_eq!(gallery.identify(&face(1, 0.25).embedding(), tolerance).label, label);
                        seen.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let store = open();
    for round in 0..2 * ROUNDS {
        step.fetch_add(1, Ordering::SeqCst);
        if round % 2 == 0 {
            store.enroll(enrollment("siswaA", &format!("picture {round}"), &[1])).await.expect("enroll");
        } else {
            assert_eq!(store.remove(&student("siswaA")).await.expect("remove"), 1);
        }
        let before = seen.load(Ordering::SeqCst);
        step.fetch_add(1, Ordering::SeqCst);
        while seen.load(Ordering::SeqCst) < before + 3 {
            assert!(readers.iter().all(|reader| !reader.is_finished()), "a recognition was not current");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    step.store(END, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("no panic");
    }
}
