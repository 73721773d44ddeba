use std::sync::Arc;
use std::time::Duration;

use attendance::ports::{Change, Enrollment, EnrollmentId, EnrollmentOrigin, GalleryStore, GalleryVersion};
use attendance::{
    Clock, Embedding, GalleryCache, ModelId, PhotoDigest, PhotoFormat, StudentId, SystemClock, Timestamp,
};
use attendance_aws::Aws;
use attendance_testkit::face;
use bytes::Bytes;

use crate::proxy::Proxy;
use crate::storage::{aws, fresh, keys, s3, stack};

fn model() -> ModelId {
    ModelId::new("model-a", 128)
}

fn student(name: &str) -> StudentId {
    StudentId::parse(name).expect("a valid id")
}

fn enrollment(name: &str, photo: &str, embedding: Embedding) -> Enrollment {
    let bytes = Bytes::from(photo.to_owned());
    Enrollment {
        id: EnrollmentId::generate(),
        student: student(name),
        digest: PhotoDigest::of(&bytes),
        origin: EnrollmentOrigin::Direct,
        photo: Some((PhotoFormat::Png, bytes)),
        model: model(),
        faces: vec![(embedding, Some(Bytes::from_static(b"crop")))],
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

/// The students in the changes from the beginning, as a cold container reads them.
async fn cold(aws: &Aws) -> Vec<String> {
    let (changes, _) = aws.gallery().changes(&GalleryVersion::default(), &model()).await.expect("changes");
    let removed: Vec<EnrollmentId> =
        changes.iter().filter_map(|c| if let Change::Remove { id } = c { Some(*id) } else { None }).collect();
    let mut names: Vec<String> = changes
        .iter()
        .filter_map(|c| match c {
            Change::Add { id, student, .. } if !removed.contains(id) => Some(student.to_string()),
            _ => None,
        })
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_container_enrols_the_next_request_of_another_finds_200_times_in_a_row() {
    let settings = fresh(&stack()).await;
    let (one, other) = (Aws::new(&settings).await, Aws::new(&settings).await);
    let (store, cache) = (one.gallery(), GalleryCache::new(other.gallery(), model()));
    for n in 0..200usize {
        let embedding = face(n % 127, n as f32 * 1e-3).embedding();
        let name = format!("student-{n}");
        store.enroll(enrollment(&name, &name, embedding.clone())).await.expect("enrolled");
        let gallery = cache.current().await.expect("the gallery");
        let nearest = gallery.nearest(&embedding).expect("somebody");
        assert_eq!((nearest.student, nearest.distance), (student(&name), 0.0), "miss at {n}");
    }
}

#[tokio::test]
async fn a_warm_request_costs_one_small_read_and_a_change_one_query() {
    let proxy = Proxy::start().await;
    let aws = Aws::new(&fresh(&proxy.address).await).await;
    let store = aws.gallery();
    let cache = GalleryCache::new(aws.gallery(), model());
    for n in 0..20 {
        let name = format!("student-{n}");
        store.enroll(enrollment(&name, &name, face(n, 0.0).embedding())).await.expect("enrolled");
    }
    cache.current().await.expect("the gallery");
    proxy.take_calls();
    for _ in 0..5 {
        assert_eq!(cache.current().await.expect("the gallery").len(), 20);
    }
    assert_eq!(proxy.take_calls(), [("BatchGetItem".to_owned(), 5)].into(), "one read each, and nothing of S3");

    store.enroll(enrollment("late", "late", face(50, 0.0).embedding())).await.expect("enrolled");
    let calls = proxy.take_calls();
    let expected = [("BatchGetItem", 1), ("GetItem", 1), ("S3 PUT", 2), ("TransactWriteItems", 1)];
    assert_eq!(calls, expected.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(cache.current().await.expect("the gallery").len(), 21);
    assert_eq!(proxy.take_calls(), [("BatchGetItem".to_owned(), 1), ("Query".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_cold_container_reads_the_snapshot_and_the_changes_since() {
    let proxy = Proxy::start().await;
    let settings = fresh(&proxy.address).await;
    let aws = Aws::new(&settings).await;
    let store = aws.gallery();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        store.enroll(enrollment(name, name, face(0, 0.0).embedding())).await.expect("enrolled");
    }
    assert!(store.rebuild_snapshot(&model()).await.expect("packed").is_some_and(|size| size > 10 * 512));
    assert_eq!(store.rebuild_snapshot(&model()).await.expect("looked"), None, "nothing new");
    proxy.take_calls();
    assert_eq!(cold(&aws).await.len(), 10);
    assert_eq!(proxy.take_calls(), [("BatchGetItem".to_owned(), 1), ("S3 GET".to_owned(), 1)].into());

    store.enroll(enrollment("k", "k", face(0, 0.0).embedding())).await.expect("enrolled");
    assert_eq!(cold(&aws).await.len(), 11);
    assert!(store.rebuild_snapshot(&model()).await.expect("packed").is_some());
    assert_eq!(cold(&aws).await.len(), 11);
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_or_of_another_model_is_not_used() {
    let settings = fresh(&stack()).await;
    let aws = Aws::new(&settings).await;
    aws.gallery().enroll(enrollment("a", "a", face(0, 0.0).embedding())).await.expect("enrolled");
    aws.gallery().rebuild_snapshot(&model()).await.expect("packed");
    let s3 = s3().await;
    let key = "snapshots/model-a.gallery";
    let object = s3.get_object().bucket(&settings.bucket).key(key).send().await.expect("there");
    let mut bytes = object.body.collect().await.expect("read").to_vec();
    let put =
        |key: &'static str, bytes: Vec<u8>| s3.put_object().bucket(&settings.bucket).key(key).body(bytes.into()).send();
    put("snapshots/model-b.gallery", bytes.clone()).await.expect("written");
    let (changes, _) =
        aws.gallery().changes(&GalleryVersion::default(), &ModelId::new("model-b", 128)).await.expect("changes");
    assert!(changes.is_empty(), "embeddings of two models are never compared");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(key, bytes).await.expect("written");
    assert_eq!(cold(&aws).await, ["a"]);
    assert!(aws.gallery().rebuild_snapshot(&model()).await.expect("packed").is_some(), "it is made anew");
}

#[tokio::test]
async fn who_is_erased_is_in_no_object_any_more() {
    let settings = fresh(&stack()).await;
    let aws = Aws::new(&settings).await;
    let store = aws.gallery();
    for (name, photo) in [("a", "1"), ("a", "2"), ("b", "1")] {
        store.enroll(enrollment(name, photo, face(0, 0.0).embedding())).await.expect("enrolled");
    }
    let s3 = s3().await;
    let drop = s3.put_object().bucket(&settings.bucket).key("known_faces/a/front.jpg").body(b"x".to_vec().into());
    drop.send().await.expect("written");
    store.rebuild_snapshot(&model()).await.expect("packed");
    assert_eq!(keys(&settings.bucket, "photos/a/").await.len(), 4, "a picture and a crop each");
    assert_eq!(store.remove(&student("a")).await.expect("removed"), 2);
    let left = keys(&settings.bucket, "").await;
    assert_eq!(left.len(), 2, "b's picture and crop: {left:?}");
    assert!(left.iter().all(|key| key.starts_with("photos/b/")));
    assert_eq!(cold(&aws).await, ["b"]);
    store.rebuild_snapshot(&model()).await.expect("packed");
    assert_eq!(cold(&aws).await, ["b"]);
}

#[tokio::test]
async fn many_pictures_of_one_student_are_erased() {
    let aws = aws().await;
    let store = aws.gallery();
    for n in 0..95 {
        let picture = Enrollment { photo: None, ..enrollment("a", &n.to_string(), face(0, 0.0).embedding()) };
        store.enroll(picture).await.expect("enrolled");
    }
    assert_eq!(store.remove(&student("a")).await.expect("removed"), 95);
    assert_eq!(store.counts().await.expect("counts"), Default::default());
    assert_eq!(cold(&aws).await, [""; 0]);
}

#[tokio::test]
async fn pictures_that_nobody_finished_are_swept_and_others_are_not() {
    let settings = fresh(&stack()).await;
    let store = Aws::new(&settings).await.gallery();
    store.enroll(enrollment("a", "a", face(0, 0.0).embedding())).await.expect("enrolled");
    let orphan = s3()
        .await
        .put_object()
        .bucket(&settings.bucket)
        .key("photos/a/left-over.jpg")
        .body(b"x".to_vec().into())
        .send();
    orphan.await.expect("written");
    let day = Duration::from_secs(86400);
    assert_eq!(store.sweep(SystemClock.now(), day).await.expect("swept"), 0, "somebody may be at it");
    assert_eq!(store.sweep(SystemClock.now().after(2 * day), day).await.expect("swept"), 1);
    assert_eq!(keys(&settings.bucket, "photos/").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_enrolments_at_once_are_all_stored() {
    let store = aws().await.gallery();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let store: Arc<dyn GalleryStore> = store.clone();
            let name = format!("student-{}", n % 30);
            tokio::spawn(async move {
                let picture = enrollment(&name, &n.to_string(), face(n % 127, 0.0).embedding());
                store.enroll(picture).await.expect("enrolled")
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.expect("no panic").new);
    }
    let counts = store.counts().await.expect("counts");
    assert_eq!((counts.encodings, counts.labels), (100, 30));
    assert_eq!(store.students().await.expect("students").iter().map(|(_, n)| n).sum::<usize>(), 100);
}
