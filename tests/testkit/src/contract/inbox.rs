use std::sync::Arc;

use async_trait::async_trait;
use attendance::ports::{
    Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryCounts, GalleryStore, Inbox, InboxKey,
};
use attendance::{ModelId, PhotoDigest, PhotoFormat, Refusal, RefusalCode, StudentId, Timestamp};
use bytes::Bytes;
use tokio::sync::Barrier;

use crate::face;

/// An inbox with the gallery that shares its storage, and the hands of whoever puts objects into it.
#[async_trait]
pub trait DropBox: Send + Sync {
    /// Another handle onto the inbox, as another process would have it.
    fn inbox(&self) -> Arc<dyn Inbox>;

    /// Another handle onto the gallery.
    fn gallery(&self) -> Arc<dyn GalleryStore>;

    /// Puts an object under the key.
    async fn put(&self, key: &InboxKey, bytes: Bytes);

    /// Takes the object away.
    async fn delete(&self, key: &InboxKey);

    /// Whether an object lies under the key.
    async fn holds(&self, key: &InboxKey) -> bool;

    /// The code and the sentence of the report that was left for the key.
    async fn reported(&self, key: &InboxKey) -> Option<(String, String)>;
}

/// What every [`Inbox`] guarantees.
pub async fn inbox(fresh: impl AsyncFn() -> Arc<dyn DropBox>) {
    an_object_is_read_as_it_lies_there_now(&*fresh().await).await;
    a_replaced_object_replaces_its_picture_and_a_removed_one_removes_it(&*fresh().await).await;
    a_picture_stays_as_long_as_any_object_asks_for_it(&*fresh().await).await;
    a_direct_enrolment_stays_whichever_came_first(&*fresh().await).await;
    an_object_has_its_picture_from_the_start(&*fresh().await).await;
    a_picture_that_is_not_enrolled_is_not_assigned(&*fresh().await).await;
    students_are_kept_apart(&*fresh().await).await;
    a_report_is_left_and_taken_away(&*fresh().await).await;
    a_removal_takes_objects_and_reports_along(&*fresh().await).await;
    a_direct_enrolment_beside_a_release_is_never_lost(&*fresh().await).await;
    two_objects_of_one_picture_beside_each_other_keep_it(&*fresh().await).await;
}

fn siswa_a() -> StudentId {
    StudentId::parse("siswaA").expect("a valid id")
}

fn key(name: &str) -> InboxKey {
    InboxKey::of(&siswa_a(), name)
}

fn object(name: &str) -> EnrollmentOrigin {
    EnrollmentOrigin::Object(key(name))
}

fn enrollment(student: &StudentId, photo: &str, origin: EnrollmentOrigin) -> Enrollment {
    let bytes = Bytes::from(photo.to_owned());
    Enrollment {
        id: EnrollmentId::generate(),
        student: student.clone(),
        digest: PhotoDigest::of(&bytes),
        origin,
        photo: Some((PhotoFormat::Jpeg, bytes)),
        model: ModelId::new("model-a", 128),
        faces: vec![(face(1, 0.0).embedding(), Some(Bytes::from_static(b"crop")))],
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

/// Enrols the picture for siswaA, and returns its digest.
async fn enroll(drop_box: &dyn DropBox, photo: &str, origin: EnrollmentOrigin) -> PhotoDigest {
    let enrollment = enrollment(&siswa_a(), photo, origin);
    let digest = enrollment.digest;
    drop_box.gallery().enroll(enrollment).await.expect("enrolled");
    digest
}

async fn assign(drop_box: &dyn DropBox, name: &str, picture: Option<PhotoDigest>) -> bool {
    drop_box.inbox().assign(&siswa_a(), &key(name), picture).await.expect("assigned")
}

async fn encodings(drop_box: &dyn DropBox) -> usize {
    drop_box.gallery().counts().await.expect("counts").encodings
}

async fn find(drop_box: &dyn DropBox, digest: &PhotoDigest, origin: &EnrollmentOrigin) -> Option<Enrolled> {
    drop_box.gallery().find(&siswa_a(), digest, origin).await.expect("found")
}

async fn an_object_is_read_as_it_lies_there_now(drop_box: &dyn DropBox) {
    let (inbox, key) = (drop_box.inbox(), key("a b+c (1)~é.jpg"));
    assert!(inbox.read(&key, 100).await.expect("read").is_none());
    assert_eq!(inbox.revision(&key).await.expect("asked"), None);
    drop_box.put(&key, Bytes::from_static(b"one")).await;
    let one = inbox.read(&key, 100).await.expect("read").expect("it is there");
    assert_eq!((one.size, one.bytes.as_deref()), (3, Some(b"one".as_slice())));
    assert_eq!(drop_box.inbox().revision(&key).await.expect("asked").as_ref(), Some(&one.revision));
    drop_box.put(&key, Bytes::from_static(b"two")).await;
    let two = inbox.revision(&key).await.expect("asked").expect("it is there");
    assert_ne!(two, one.revision, "another object of the same size");
    for (limit, bytes) in [(3, Some(b"two".as_slice())), (2, None)] {
        let object = inbox.read(&key, limit).await.expect("read").expect("it is there");
        assert_eq!((object.size, object.bytes.as_deref(), &object.revision), (3, bytes, &two), "up to {limit} bytes");
    }
    drop_box.put(&key, Bytes::new()).await;
    assert_eq!(inbox.read(&key, 0).await.expect("read").expect("it is there").bytes, Some(Bytes::new()));
    drop_box.delete(&key).await;
    assert!(inbox.read(&key, 100).await.expect("read").is_none());
    assert_eq!(inbox.revision(&key).await.expect("asked"), None);
}

async fn a_replaced_object_replaces_its_picture_and_a_removed_one_removes_it(drop_box: &dyn DropBox) {
    let old = enroll(drop_box, "old", object("1.jpg")).await;
    for _ in 0..5 {
        assert!(assign(drop_box, "1.jpg", Some(old)).await);
    }
    assert_eq!(encodings(drop_box).await, 1, "however often");
    let new = enroll(drop_box, "new", object("1.jpg")).await;
    assert!(assign(drop_box, "1.jpg", Some(new)).await);
    assert_eq!(encodings(drop_box).await, 1);
    assert_eq!(find(drop_box, &old, &object("1.jpg")).await, None);
    assert!(find(drop_box, &new, &object("1.jpg")).await.is_some());
    for _ in 0..2 {
        assert!(assign(drop_box, "1.jpg", None).await);
        assert_eq!(drop_box.gallery().counts().await.expect("counts"), GalleryCounts::default());
    }
}

async fn a_picture_stays_as_long_as_any_object_asks_for_it(drop_box: &dyn DropBox) {
    // A copy is asked for by enrolling it again, or by assigning what is enrolled.
    for copied_by_enrolling in [true, false] {
        let picture = enroll(drop_box, "one", object("1.jpg")).await;
        if copied_by_enrolling {
            assert_eq!(enroll(drop_box, "one", object("copy.jpg")).await, picture);
        } else {
            assert!(find(drop_box, &picture, &object("copy.jpg")).await.is_some(), "nothing is left to enrol");
            assert!(assign(drop_box, "copy.jpg", Some(picture)).await);
        }
        assert!(assign(drop_box, "1.jpg", None).await);
        assert_eq!(encodings(drop_box).await, 1, "the copy is still there");
        assert!(assign(drop_box, "copy.jpg", None).await);
        assert_eq!(encodings(drop_box).await, 0);
    }
}

async fn a_direct_enrolment_stays_whichever_came_first(drop_box: &dyn DropBox) {
    let direct = enroll(drop_box, "direct first", EnrollmentOrigin::Direct).await;
    assert!(find(drop_box, &direct, &object("1.jpg")).await.is_some(), "nothing is left to enrol");
    assert!(assign(drop_box, "1.jpg", Some(direct)).await);
    assert!(assign(drop_box, "1.jpg", None).await);
    assert_eq!(encodings(drop_box).await, 1);

    let put = enroll(drop_box, "put first", object("2.jpg")).await;
    assert_eq!(find(drop_box, &put, &EnrollmentOrigin::Direct).await, None, "only the object asks for it");
    let repeat = enrollment(&siswa_a(), "put first", EnrollmentOrigin::Direct);
    let repeated = drop_box.gallery().enroll(repeat).await.expect("enrolled");
    assert_eq!(repeated, Enrolled { saved: 1, new: false });
    assert_eq!(find(drop_box, &put, &EnrollmentOrigin::Direct).await, Some(repeated));
    assert!(assign(drop_box, "2.jpg", None).await);
    assert_eq!(encodings(drop_box).await, 2);
}

async fn an_object_has_its_picture_from_the_start(drop_box: &dyn DropBox) {
    // Nobody comes to assign it: whoever enrolled it was killed, and the object is gone.
    enroll(drop_box, "abandoned", object("1.jpg")).await;
    let under_way = enroll(drop_box, "under way", object("2.jpg")).await;
    assert!(assign(drop_box, "1.jpg", None).await);
    assert_eq!(encodings(drop_box).await, 1, "the other one stays");
    assert!(assign(drop_box, "2.jpg", Some(under_way)).await);
}

async fn a_picture_that_is_not_enrolled_is_not_assigned(drop_box: &dyn DropBox) {
    let enrolled = enroll(drop_box, "enrolled", object("1.jpg")).await;
    assert!(!assign(drop_box, "1.jpg", Some(PhotoDigest::of(b"not enrolled"))).await);
    assert!(find(drop_box, &enrolled, &object("1.jpg")).await.is_some(), "nothing has changed");
    assert_eq!(encodings(drop_box).await, 1);
}

async fn students_are_kept_apart(drop_box: &dyn DropBox) {
    let other = StudentId::parse("siswaA.2").expect("a valid id");
    let theirs = InboxKey::of(&other, "1.jpg");
    let enrolled = enrollment(&other, "one", EnrollmentOrigin::Object(theirs.clone()));
    drop_box.gallery().enroll(enrolled).await.expect("enrolled");
    enroll(drop_box, "one", object("1.jpg")).await;
    assert!(assign(drop_box, "1.jpg", None).await);
    let left = drop_box.gallery().students().await.expect("students");
    assert_eq!(left, [(other.clone(), 1)]);
    assert!(drop_box.inbox().assign(&other, &theirs, None).await.expect("assigned"));
    assert_eq!(encodings(drop_box).await, 0);
}

async fn a_report_is_left_and_taken_away(drop_box: &dyn DropBox) {
    let (inbox, key) = (drop_box.inbox(), key("a b+c (1)~é.jpg"));
    assert_eq!(drop_box.reported(&key).await, None);
    for (code, word, msg) in [
        (RefusalCode::NoFace, "no_face", "no face was found"),
        (RefusalCode::UnsupportedImage, "unsupported_image", "HEIC images are not supported"),
    ] {
        inbox.report(&key, Some(&Refusal::new(code, msg))).await.expect("reported");
        assert_eq!(drop_box.reported(&key).await, Some((word.to_owned(), msg.to_owned())));
    }
    for _ in 0..2 {
        inbox.report(&key, None).await.expect("taken away");
        assert_eq!(drop_box.reported(&key).await, None);
    }
}

async fn a_removal_takes_objects_and_reports_along(drop_box: &dyn DropBox) {
    let other = StudentId::parse("siswaA.2").expect("a valid id");
    let theirs = InboxKey::of(&other, "1.jpg");
    let refusal = Refusal::new(RefusalCode::NoFace, "no face was found");
    for key in [&key("1.jpg"), &key("wall.jpg"), &theirs] {
        drop_box.put(key, Bytes::from_static(b"bytes")).await;
        drop_box.inbox().report(key, Some(&refusal)).await.expect("reported");
    }
    let picture = enroll(drop_box, "bytes", object("1.jpg")).await;
    assert_eq!(drop_box.gallery().remove(&siswa_a()).await.expect("removed"), 1);
    for key in [&key("1.jpg"), &key("wall.jpg")] {
        assert!(!drop_box.holds(key).await, "it would be enrolled again");
        assert_eq!(drop_box.reported(key).await, None);
    }
    assert!(drop_box.holds(&theirs).await && drop_box.reported(&theirs).await.is_some());
    assert!(!assign(drop_box, "1.jpg", Some(picture)).await, "it is erased");
}

async fn a_direct_enrolment_beside_a_release_is_never_lost(drop_box: &dyn DropBox) {
    for round in 0..20 {
        let photo = format!("picture {round}");
        let picture = enroll(drop_box, &photo, object("1.jpg")).await;
        let barrier = Arc::new(Barrier::new(2));
        let enrolling = {
            let (gallery, barrier) = (drop_box.gallery(), barrier.clone());
            let direct = enrollment(&siswa_a(), &photo, EnrollmentOrigin::Direct);
            tokio::spawn(async move {
                barrier.wait().await;
                gallery.enroll(direct).await.expect("enrolled")
            })
        };
        barrier.wait().await;
        assert!(assign(drop_box, "1.jpg", None).await);
        assert_eq!(enrolling.await.expect("no panic").saved, 1);
        let found = find(drop_box, &picture, &EnrollmentOrigin::Direct).await;
        assert_eq!(found, Some(Enrolled { saved: 1, new: false }), "acknowledged, so kept");
        assert_eq!(encodings(drop_box).await, round + 1);
    }
}

async fn two_objects_of_one_picture_beside_each_other_keep_it(drop_box: &dyn DropBox) {
    for round in 0..20 {
        let photo = format!("picture {round}");
        let picture = enroll(drop_box, &photo, object("old.jpg")).await;
        let barrier = Arc::new(Barrier::new(2));
        let copying = {
            let (gallery, inbox, barrier) = (drop_box.gallery(), drop_box.inbox(), barrier.clone());
            let copy = enrollment(&siswa_a(), &photo, object("copy.jpg"));
            tokio::spawn(async move {
                barrier.wait().await;
                gallery.enroll(copy).await.expect("enrolled");
                inbox.assign(&siswa_a(), &key("copy.jpg"), Some(picture)).await.expect("assigned")
            })
        };
        barrier.wait().await;
        assert!(assign(drop_box, "old.jpg", None).await);
        assert!(copying.await.expect("no panic"), "the copy's picture was enrolled for the copy");
        assert_eq!(encodings(drop_box).await, 1);
    }
}
