//! What AWS does now and then and a local stack never: conflicts, throttling, answers that are lost.

use std::sync::Arc;
use std::time::Duration;

use attendance::ports::{
    Acceptance, Enrolled, Enrollment, EnrollmentId, EnrollmentOrigin, EventStore, GalleryStore, StoreError,
};
use attendance::{
    Cooldown, Entries, EventStatus, ModelId, NextStep, OutboxEntry, PhotoDigest, PhotoFormat, StudentId, Timestamp,
};
use attendance_aws::Aws;
use attendance_testkit::contract::{DropBox, event_store, gallery_store, inbox, opener};
use attendance_testkit::{delivered, face, sighting};
use bytes::Bytes;

use crate::contract::BucketDropBox;
use crate::proxy::{Fault, Proxy};
use crate::storage::fresh;

fn enrollment(name: &str, photo: &str) -> Enrollment {
    let bytes = Bytes::from(photo.to_owned());
    Enrollment {
        id: EnrollmentId::generate(),
        student: StudentId::parse(name).expect("a valid id"),
        digest: PhotoDigest::of(&bytes),
        origin: EnrollmentOrigin::Direct,
        photo: Some((PhotoFormat::Jpeg, bytes)),
        model: ModelId::new("model-a", 128),
        faces: vec![(face(1, 0.0).embedding(), Some(Bytes::from_static(b"crop")))],
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

const COOLDOWN: Duration = Duration::from_secs(5);

/// The entry of a student who is seen then, with its cooldown.
fn accepted(at: u64) -> (OutboxEntry, Cooldown) {
    let event = sighting("siswaA", Timestamp::from_millis(at));
    (OutboxEntry::accepted(&event, "body".into(), Duration::from_secs(13)), Cooldown::of(&event, COOLDOWN))
}

async fn behind_a_proxy() -> (Proxy, Aws) {
    let proxy = Proxy::start().await;
    let aws = Aws::new(&fresh(&proxy.address).await).await;
    (proxy, aws)
}

/// Every third call of each operation meets one of the faults in turn.
fn now_and_then(name: &str, before: usize) -> Option<Fault> {
    let transaction = name == "TransactWriteItems";
    match before % 9 {
        2 if transaction => Some(Fault::conflict()),
        5 if !name.starts_with("S3") => Some(Fault::throttled()),
        8 if transaction => Some(Fault::LostAnswer),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gallery_keeps_its_contract_among_faults() {
    gallery_store(async || {
        let (proxy, aws) = behind_a_proxy().await;
        proxy.inject(now_and_then);
        opener::<dyn GalleryStore>(move || aws.gallery() as Arc<dyn GalleryStore>)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inbox_keeps_its_contract_among_faults() {
    inbox(async || {
        let proxy = Proxy::start().await;
        let settings = fresh(&proxy.address).await;
        let aws = Aws::new(&settings).await;
        proxy.inject(now_and_then);
        Arc::new(BucketDropBox::new(move || aws.clone(), &settings)) as Arc<dyn DropBox>
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_keeps_its_contract_among_faults() {
    event_store(async || {
        let (proxy, aws) = behind_a_proxy().await;
        proxy.inject(now_and_then);
        opener::<dyn EventStore>(move || aws.events() as Arc<dyn EventStore>)
    })
    .await;
}

#[tokio::test]
async fn an_enrolment_waits_for_others_to_get_out_of_the_way() {
    for fault in [Fault::conflict(), Fault::cancelled("ThrottlingError"), Fault::throttled()] {
        let (proxy, aws) = behind_a_proxy().await;
        proxy.inject(move |name, before| (name == "TransactWriteItems" && before < 2).then(|| fault.clone()));
        let enrolled = aws.gallery().enroll(enrollment("siswaA", "a")).await.expect("enrolled");
        assert_eq!(enrolled, Enrolled { saved: 1, new: true });
        assert_eq!(proxy.take_calls()["TransactWriteItems"], 3);
    }
}

#[tokio::test]
async fn an_enrolment_whose_answer_is_lost_is_one_enrolment() {
    let (proxy, aws) = behind_a_proxy().await;
    proxy.inject(|name, before| (name == "TransactWriteItems" && before == 0).then_some(Fault::LostAnswer));
    let enrolled = aws.gallery().enroll(enrollment("siswaA", "a")).await.expect("enrolled");
    assert_eq!(enrolled, Enrolled { saved: 1, new: true });
    assert_eq!(aws.gallery().counts().await.expect("counts").encodings, 1);
}

#[tokio::test]
async fn an_event_whose_answer_is_lost_is_accepted_once() {
    let (proxy, aws) = behind_a_proxy().await;
    let (events, (first, cooldown)) = (aws.events(), accepted(1_700_000_000_000));
    proxy.inject(|name, before| (name == "TransactWriteItems" && before == 0).then_some(Fault::LostAnswer));
    let acceptance = events.insert(first.clone(), &cooldown).await.expect("accepted");
    assert_eq!(acceptance, Acceptance::Accepted(Box::new(first.clone())), "it does not meet its own cooldown");
    let (second, cooldown) = accepted(1_700_000_001_000);
    let second = events.insert(second, &cooldown).await.expect("answered");
    assert_eq!(second, Acceptance::Cooling { left: Duration::from_secs(4) });

    proxy.inject(|name, before| (name == "PutItem" && before == 0).then_some(Fault::LostAnswer));
    let attempt = delivered(first.accepted);
    Entries::new(events.clone()).record(first, &attempt, NextStep::Sent).await.expect("recorded");
    let page = events.list(Some(EventStatus::Sent), 10, None).await.expect("listed");
    assert_eq!(page.events[0].attempts.len(), 1, "the try is recorded once");
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_nothing() {
    let (proxy, aws) = behind_a_proxy().await;
    proxy.inject(|name, _| {
        (name == "TransactWriteItems")
            .then(|| Fault::Error { kind: "InternalServerError", body: serde_json::json!({"message": "out of order"}) })
    });
    let refused = aws.gallery().enroll(enrollment("siswaA", "a")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let (entry, cooldown) = accepted(1_700_000_000_000);
    let refused = aws.events().insert(entry, &cooldown).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    proxy.inject(|_, _| None);
    assert_eq!(aws.gallery().counts().await.expect("counts").encodings, 0);
    assert!(aws.events().list(None, 10, None).await.expect("listed").events.is_empty());
}
