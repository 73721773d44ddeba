use attendance::ports::{Enrollment, EnrollmentId, EnrollmentOrigin, GalleryCounts, GalleryStore, Inbox, InboxKey};
use attendance::{Clock, ModelId, PhotoDigest, PhotoFormat, StudentId, SystemClock, Timestamp};
use attendance_aws::{Aws, AwsSettings};
use attendance_testkit::face;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use crate::storage::{dynamodb, fresh, keys, stack};

fn student() -> StudentId {
    StudentId::parse("siswaA").expect("a valid id")
}

fn key(name: &str) -> InboxKey {
    InboxKey::of(&student(), name)
}

/// Enrols a picture as versions did that noted its object in a second step, and were killed before it.
async fn enroll_without_object(settings: &AwsSettings, photo: &str, at: Timestamp) -> PhotoDigest {
    let bytes = Bytes::from(photo.to_owned());
    let digest = PhotoDigest::of(&bytes);
    let enrollment = Enrollment {
        id: EnrollmentId::generate(),
        student: student(),
        digest,
        origin: EnrollmentOrigin::Direct,
        photo: Some((PhotoFormat::Jpeg, bytes)),
        model: ModelId::new("model-a", 128),
        faces: vec![(face(1, 0.0).embedding(), None)],
        at,
    };
    Aws::new(settings).await.gallery().enroll(enrollment).await.expect("enrolled");
    let update = dynamodb().await.update_item().table_name(&settings.table);
    let update = update
        // The student's shard.
        .key("pk", AttributeValue::S("gallery#3".into()))
        .key("sk", AttributeValue::S(format!("face#siswaA#{digest}")))
        .condition_expression("direct = :yes")
        .expression_attribute_values(":yes", AttributeValue::Bool(true))
        .update_expression("REMOVE direct");
    update.send().await.expect("the row is there");
    digest
}

#[tokio::test]
async fn what_a_killed_function_of_an_earlier_version_enrolled_goes_with_the_next_object() {
    let settings = fresh(&stack()).await;
    let aws = Aws::new(&settings).await;
    let (inbox, gallery) = (aws.inbox(), aws.gallery());
    let long_ago = Timestamp::from_millis(SystemClock.now().millis() - 121_000);
    enroll_without_object(&settings, "abandoned", long_ago).await;
    let under_way = enroll_without_object(&settings, "under way", SystemClock.now()).await;
    assert!(inbox.assign(&student(), &key("1.jpg"), None).await.expect("assigned"));
    let left = gallery.counts().await.expect("counts");
    assert_eq!(left, GalleryCounts { encodings: 1, labels: 1 }, "the other one gets its object in a moment");
    assert!(inbox.assign(&student(), &key("2.jpg"), Some(under_way)).await.expect("assigned"));
    assert!(inbox.assign(&student(), &key("2.jpg"), None).await.expect("assigned"));
    assert_eq!(gallery.counts().await.expect("counts"), GalleryCounts::default());
}

#[tokio::test]
async fn a_client_puts_a_picture_itself() {
    let settings = fresh(&stack()).await;
    let inbox = Aws::new(&settings).await.inbox();
    let upload = inbox.presign(&key("front.jpg"), "image/jpeg", 5).await.expect("signed");
    let mut request =
        reqwest::Client::new().request(upload.method.parse().expect("a method"), &upload.url).body("bytes");
    for (name, value) in &upload.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.expect("sent");
    assert!(answer.status().is_success(), "{}", answer.status());
    assert_eq!(keys(&settings.bucket, "known_faces/").await, ["known_faces/siswaA/front.jpg"]);
}
