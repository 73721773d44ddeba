use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use attendance::ports::{FaceEngine, GalleryCounts, GalleryStore, InboxKey, Purpose, ScanError, StoreError};
use attendance::{
    AttendanceSettings, BulkEnroller, BulkError, EnrollError, MAX_PICTURE_BYTES, ModelId, Refusal, RefusalCode, Scan,
    compose,
};
use attendance_testkit::{FakeEngine, FakeInbox, face, picture};
use bytes::Bytes;
use serde_json::json;

use crate::school::{START, School};

fn key(path: &str) -> InboxKey {
    InboxKey::parse(&format!("known_faces/{path}")).expect("a key of the inbox")
}

/// The bulk enroller of this school's function, with its engine.
fn bulk_with(school: &School, engine: Arc<dyn FaceEngine>) -> BulkEnroller {
    let faces = compose(school.ports.clone(), AttendanceSettings::default()).with_engine(engine);
    faces.with_inbox(Arc::new(school.gallery.inbox()))
}

fn bulk(school: &School) -> BulkEnroller {
    bulk_with(school, school.engine.clone())
}

async fn reconcile(school: &School, path: &str) {
    bulk(school).reconcile(key(path).as_str()).await.expect("reconciled");
}

async fn counts(school: &School) -> (usize, usize) {
    let GalleryCounts { encodings, labels } = school.gallery.counts().await.expect("counts");
    (encodings, labels)
}

#[tokio::test]
async fn a_picture_is_enrolled_for_as_long_as_it_lies_there() {
    let (school, path) = (School::new(), "siswaA/a b+c (1)~é.JPG");
    let inbox = school.gallery.inbox();
    inbox.put(&key(path), picture("a", &[face(1, 0.0)]));
    for _ in 0..3 {
        reconcile(&school, path).await;
        assert_eq!(counts(&school).await, (1, 1), "however often it is told");
    }
    assert_eq!(school.engine.scans(), 1, "and without scanning it again");
    let told = json!({"type": "student.enrolled", "student_id": "siswaA", "saved": 1, "ts": START / 1000, "seq": 1});
    assert_eq!(school.push.messages(), [told]);

    inbox.put(&key(path), picture("b", &[face(2, 0.0)]));
    reconcile(&school, path).await;
    assert_eq!(counts(&school).await, (1, 1), "replaced");
    let seen = school.recognize(picture("frame", &[face(2, 0.0)])).await.expect("recognized");
    assert_eq!(seen.sightings[0].distance, Some(0.0));

    inbox.delete(&key(path));
    for _ in 0..2 {
        reconcile(&school, path).await;
        assert_eq!(counts(&school).await, (0, 0));
    }
}

#[tokio::test]
async fn a_copy_under_another_name_adds_nothing_and_keeps_the_picture() {
    let school = School::new();
    let (inbox, photo) = (school.gallery.inbox(), picture("a", &[face(1, 0.0)]));
    for path in ["siswaA/1.jpg", "siswaA/copy.jpg"] {
        inbox.put(&key(path), photo.clone());
        reconcile(&school, path).await;
    }
    assert_eq!((counts(&school).await, school.engine.scans(), school.push.messages().len()), ((1, 1), 1, 1));
    inbox.delete(&key("siswaA/1.jpg"));
    reconcile(&school, "siswaA/1.jpg").await;
    assert_eq!(counts(&school).await, (1, 1));
}

#[tokio::test]
async fn a_picture_that_was_also_enrolled_directly_stays() {
    let school = School::new();
    let (inbox, photo) = (school.gallery.inbox(), picture("a", &[face(1, 0.0)]));
    inbox.put(&key("siswaA/1.jpg"), photo.clone());
    reconcile(&school, "siswaA/1.jpg").await;
    let receipt = school.enroll("siswaA", photo).await.expect("enrolled");
    assert!(!receipt.new, "it is stored once");
    inbox.delete(&key("siswaA/1.jpg"));
    reconcile(&school, "siswaA/1.jpg").await;
    assert_eq!(counts(&school).await, (1, 1));
}

#[tokio::test]
async fn a_refused_object_leaves_a_report_that_goes_when_it_is_mended_or_removed() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    let one_too_many = Bytes::from(vec![0; MAX_PICTURE_BYTES + 1]);
    for (n, (path, bytes, code)) in [
        ("siswaA/pair.jpg", picture("two", &[face(1, 0.0), face(2, 0.0)]), RefusalCode::MultipleFaces),
        ("siswaA/wall.png", picture("empty room", &[]), RefusalCode::NoFace),
        ("siswaA/cut.jpg", "garbage".into(), RefusalCode::InvalidImage),
        ("siswaA/empty.jpg", Bytes::new(), RefusalCode::InvalidImage),
        ("siswaA/large.jpg", one_too_many, RefusalCode::ImageTooLarge),
        ("siswaA/film.gif", "GIF89a".into(), RefusalCode::UnsupportedImage),
        ("a b/1.jpg", picture("a", &[face(1, 0.0)]), RefusalCode::InvalidStudentId),
        ("1.jpg", picture("a", &[face(1, 0.0)]), RefusalCode::UnsupportedImage),
    ]
    .into_iter()
    .enumerate()
    {
        inbox.put(&key(path), bytes);
        reconcile(&school, path).await;
        let Some(Refusal { code: reported, msg }) = inbox.reported(&key(path)) else { panic!("{path} has a report") };
        assert_eq!(reported, code, "{path}");
        let told = school.push.messages().pop().expect("subscribers are told");
        let expected = json!({
            "type": "student.refused", "file": path, "code": code.to_string(), "msg": msg, "ts": START / 1000,
            "seq": n + 1,
        });
        assert_eq!(told, expected);
    }
    assert_eq!(counts(&school).await, (0, 0));

    inbox.put(&key("siswaA/wall.png"), picture("a", &[face(1, 0.0)]));
    reconcile(&school, "siswaA/wall.png").await;
    for path in ["siswaA/film.gif", "siswaA/cut.jpg"] {
        inbox.delete(&key(path));
        reconcile(&school, path).await;
    }
    for path in ["siswaA/wall.png", "siswaA/film.gif", "siswaA/cut.jpg"] {
        assert_eq!(inbox.reported(&key(path)), None, "{path}");
    }
    assert!(inbox.reported(&key("siswaA/pair.jpg")).is_some());
    assert_eq!(counts(&school).await, (1, 1));
}

#[tokio::test]
async fn a_picture_that_is_replaced_by_a_refused_one_is_forgotten() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    inbox.put(&key("siswaA/1.jpg"), picture("a", &[face(1, 0.0)]));
    reconcile(&school, "siswaA/1.jpg").await;
    inbox.put(&key("siswaA/1.jpg"), picture("empty room", &[]));
    reconcile(&school, "siswaA/1.jpg").await;
    assert_eq!(counts(&school).await, (0, 0));
    assert!(inbox.reported(&key("siswaA/1.jpg")).is_some());
}

#[tokio::test]
async fn what_nobody_meant_to_enrol_is_ignored() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    for path in ["siswaA/", "siswaA/.DS_Store", "README.md"] {
        inbox.put(&key(path), Bytes::new());
        reconcile(&school, path).await;
        assert_eq!(inbox.reported(&key(path)), None, "{path}");
    }
    // A store that is down would be an error.
    school.gallery.set_down(true);
    bulk(&school).reconcile("photos/siswaA/1.jpg").await.expect("it is not of the inbox");
    assert!(school.push.messages().is_empty());
}

#[tokio::test]
async fn a_fault_is_an_error_and_no_refusal() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    inbox.put(&key("siswaA/1.jpg"), "busy".into());
    let error = bulk(&school).reconcile("known_faces/siswaA/1.jpg").await.expect_err("overloaded");
    assert!(matches!(error, BulkError::Enroll(EnrollError::Scan(ScanError::Overloaded))), "{error:?}");
    school.gallery.set_down(true);
    for path in ["siswaA/1.jpg", "siswaA/film.gif"] {
        let error = bulk(&school).reconcile(key(path).as_str()).await.expect_err("the store is down");
        assert!(matches!(error, BulkError::Inbox(StoreError::Unavailable(_))), "{error:?}");
    }
    assert!(school.push.messages().is_empty());
    assert_eq!(inbox.reported(&key("siswaA/1.jpg")), None);
}

#[tokio::test]
async fn subscribers_who_cannot_be_told_stop_nothing() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    school.push.set_down(true);
    inbox.put(&key("siswaA/wall.jpg"), picture("empty room", &[]));
    reconcile(&school, "siswaA/wall.jpg").await;
    assert!(inbox.reported(&key("siswaA/wall.jpg")).is_some());
}

/// An engine during whose scans something happens.
struct Meanwhile<F> {
    engine: FakeEngine,
    scans: AtomicUsize,
    happens: F,
}

impl<F: Fn(usize)> Meanwhile<F> {
    fn new(happens: F) -> Arc<Self> {
        Arc::new(Self { engine: FakeEngine::default(), scans: AtomicUsize::new(0), happens })
    }
}

#[async_trait]
impl<F: Fn(usize) + Send + Sync> FaceEngine for Meanwhile<F> {
    fn model(&self) -> &ModelId {
        self.engine.model()
    }

    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError> {
        (self.happens)(self.scans.fetch_add(1, Ordering::SeqCst));
        self.engine.scan(photo, purpose).await
    }
}

/// Puts another picture, the n-th, of person `n` under the key.
fn replace(inbox: &FakeInbox, n: usize) {
    inbox.put(&key("siswaA/1.jpg"), picture(&n.to_string(), &[face(n, 0.0)]));
}

#[tokio::test]
async fn an_object_that_is_replaced_while_it_is_scanned_is_looked_at_again() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    replace(&inbox, 0);
    let engine = {
        let inbox = inbox.clone();
        Meanwhile::new(move |scans| {
            if scans == 0 {
                replace(&inbox, 1)
            }
        })
    };
    bulk_with(&school, engine).reconcile("known_faces/siswaA/1.jpg").await.expect("reconciled");
    assert_eq!(counts(&school).await, (1, 1));
    let seen = school.recognize(picture("frame", &[face(1, 0.0)])).await.expect("recognized");
    assert_eq!(seen.sightings[0].distance, Some(0.0), "what lies there now");
}

#[tokio::test]
async fn an_object_that_is_removed_while_it_is_scanned_leaves_nothing() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    replace(&inbox, 0);
    let engine = {
        let inbox = inbox.clone();
        Meanwhile::new(move |_| inbox.delete(&key("siswaA/1.jpg")))
    };
    bulk_with(&school, engine).reconcile("known_faces/siswaA/1.jpg").await.expect("reconciled");
    assert_eq!(counts(&school).await, (0, 0));
}

#[tokio::test]
async fn an_object_that_never_rests_is_an_error_that_names_it() {
    let school = School::new();
    let inbox = school.gallery.inbox();
    replace(&inbox, 0);
    let engine = {
        let inbox = inbox.clone();
        Meanwhile::new(move |scans| replace(&inbox, scans + 1))
    };
    let error = bulk_with(&school, engine).reconcile("known_faces/siswaA/1.jpg").await.expect_err("it never rests");
    assert!(matches!(error, BulkError::KeepsChanging(_)), "{error:?}");
    assert!(error.to_string().contains("known_faces/siswaA/1.jpg"), "{error}");
}
