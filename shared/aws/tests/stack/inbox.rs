use attendance::ports::{Enrolled, Enrollment, EnrollmentId, GalleryStore};
use attendance::{Clock, ModelId, PhotoDigest, PhotoFormat, StudentId, SystemClock, Timestamp};
use attendance_aws::Aws;
use attendance_testkit::face;
use bytes::Bytes;

use crate::storage::{aws, fresh, keys, s3, stack};

fn student() -> StudentId {
    StudentId::parse("siswaA").expect("a valid id")
}

async fn enroll(store: &dyn GalleryStore, photo: &str) -> PhotoDigest {
    enroll_at(store, photo, SystemClock.now()).await
}

async fn enroll_at(store: &dyn GalleryStore, photo: &str, at: Timestamp) -> PhotoDigest {
    let bytes = Bytes::from(photo.to_owned());
    let digest = PhotoDigest::of(&bytes);
    let enrollment = Enrollment {
        id: EnrollmentId::generate(),
        student: student(),
        digest,
        photo: Some((PhotoFormat::Jpeg, bytes)),
        model: ModelId::new("model-a"),
        faces: vec![(face(1, 0.0).embedding(), None)],
        at,
    };
    store.enroll(enrollment).await.expect("enrolled");
    digest
}

async fn encodings(aws: &Aws) -> usize {
    aws.gallery().counts().await.expect("counts").encodings
}

#[tokio::test]
async fn a_replaced_object_replaces_its_embeddings_and_a_removed_one_removes_them() {
    let aws = aws().await;
    let (inbox, store) = (aws.inbox(), aws.bulk_gallery());
    let old = enroll(&*store, "old").await;
    for _ in 0..5 {
        assert!(inbox.settle(&student(), "known_faces/siswaA/1.jpg", Some(old)).await.expect("settled"));
    }
    assert_eq!(encodings(&aws).await, 1, "any number of deliveries");
    let new = enroll(&*store, "new").await;
    assert!(inbox.settle(&student(), "known_faces/siswaA/1.jpg", Some(new)).await.expect("settled"));
    assert_eq!(encodings(&aws).await, 1);
    assert_eq!(store.find(&student(), &old).await.expect("found"), None);
    assert!(!inbox.settle(&student(), "known_faces/siswaA/1.jpg", Some(old)).await.expect("answered"), "not enrolled");
    assert!(inbox.settle(&student(), "known_faces/siswaA/1.jpg", None).await.expect("settled"));
    assert_eq!(encodings(&aws).await, 0);
}

#[tokio::test]
async fn a_picture_stays_as_long_as_anything_asks_for_it() {
    let aws = aws().await;
    let inbox = aws.inbox();
    let digest = enroll(&*aws.bulk_gallery(), "one").await;
    for key in ["known_faces/siswaA/1.jpg", "known_faces/siswaA/copy.jpg"] {
        assert!(inbox.settle(&student(), key, Some(digest)).await.expect("settled"));
    }
    inbox.settle(&student(), "known_faces/siswaA/1.jpg", None).await.expect("settled");
    assert_eq!(encodings(&aws).await, 1, "the copy is still there");
    inbox.settle(&student(), "known_faces/siswaA/copy.jpg", None).await.expect("settled");
    assert_eq!(encodings(&aws).await, 0);

    let direct = enroll(&*aws.gallery(), "two").await;
    inbox.settle(&student(), "known_faces/siswaA/2.jpg", Some(direct)).await.expect("settled");
    inbox.settle(&student(), "known_faces/siswaA/2.jpg", None).await.expect("settled");
    assert_eq!(encodings(&aws).await, 1, "somebody also enrolled it directly");

    // The other way round: it was dropped first.
    let dropped = enroll(&*aws.bulk_gallery(), "three").await;
    inbox.settle(&student(), "known_faces/siswaA/3.jpg", Some(dropped)).await.expect("settled");
    assert_eq!(aws.gallery().find(&student(), &dropped).await.expect("found"), None, "not enrolled by itself");
    assert_eq!(enroll(&*aws.gallery(), "three").await, dropped);
    assert_eq!(aws.gallery().find(&student(), &dropped).await.expect("found"), Some(Enrolled { saved: 1, new: false }));
    inbox.settle(&student(), "known_faces/siswaA/3.jpg", None).await.expect("settled");
    assert_eq!(encodings(&aws).await, 2);
}

#[tokio::test]
async fn what_a_killed_function_enrolled_goes_with_its_object() {
    let aws = aws().await;
    let inbox = aws.inbox();
    // It was killed between enrolling the picture and saying which key it stands for; the object is gone since.
    let long_ago = Timestamp::from_millis(SystemClock.now().millis() - 121_000);
    enroll_at(&*aws.bulk_gallery(), "abandoned", long_ago).await;
    let others = enroll_at(&*aws.bulk_gallery(), "under way", SystemClock.now()).await;
    inbox.settle(&student(), "known_faces/siswaA/1.jpg", None).await.expect("settled");
    assert_eq!(encodings(&aws).await, 1, "the other one gets its key in a moment");
    assert!(inbox.settle(&student(), "known_faces/siswaA/2.jpg", Some(others)).await.expect("settled"));
}

#[tokio::test]
async fn what_lies_there_is_read_and_told_from_what_lay_there() {
    let settings = fresh(&stack()).await;
    let inbox = Aws::new(&settings).await.inbox();
    let key = "known_faces/siswaA/a b+c (1)~é.jpg";
    assert!(inbox.read(key, 100).await.expect("read").is_none());
    assert!(inbox.is_as_read(key, None).await.expect("compared"));
    let s3 = s3().await;
    let put = async |bytes: &'static [u8]| {
        s3.put_object().bucket(&settings.bucket).key(key).body(bytes.to_vec().into()).send().await.expect("written");
    };
    put(b"one").await;
    let one = inbox.read(key, 100).await.expect("read").expect("there");
    assert_eq!(one.bytes.as_deref(), Some(b"one".as_slice()));
    assert!(inbox.is_as_read(key, Some(&one)).await.expect("compared"));
    assert!(!inbox.is_as_read(key, None).await.expect("compared"));
    put(b"two").await;
    assert!(!inbox.is_as_read(key, Some(&one)).await.expect("compared"));
    let large = inbox.read(key, 2).await.expect("read").expect("there");
    assert_eq!((large.size(), large.bytes), (3, None));
}

#[tokio::test]
async fn a_client_puts_a_picture_himself() {
    let settings = fresh(&stack()).await;
    let inbox = Aws::new(&settings).await.inbox();
    let upload = inbox.presign(&student(), "front.jpg", "image/jpeg", 5).await.expect("signed");
    let mut request =
        reqwest::Client::new().request(upload.method.parse().expect("a method"), &upload.url).body("bytes");
    for (name, value) in &upload.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("sent");
    assert!(answer.status().is_success(), "{}", answer.status());
    assert_eq!(keys(&settings.bucket, "known_faces/").await, ["known_faces/siswaA/front.jpg"]);
}
