//! What a gallery of 100,000 embeddings costs: run by hand, printed as the table in docs/aws.md.

use std::time::Instant;

use attendance::ports::{Enrollment, EnrollmentId, EnrollmentOrigin, GalleryStore};
use attendance::{Embedding, GalleryCache, ModelId, PhotoDigest, StudentId, Timestamp};
use attendance_aws::Aws;

use crate::proxy::Proxy;
use crate::storage::fresh;

const PICTURES: usize = 2_000;
const EACH: usize = 50;

fn enrollment(n: usize) -> Enrollment {
    let values = |k: usize| std::array::from_fn::<f32, 128, _>(|i| ((n * EACH + k + i * 7919) % 1000) as f32 / 4000.0);
    let name = format!("student-{n}");
    Enrollment {
        id: EnrollmentId::generate(),
        digest: PhotoDigest::of(name.as_bytes()),
        origin: EnrollmentOrigin::Direct,
        student: StudentId::parse(&name).expect("a valid id"),
        photo: None,
        model: ModelId::new("model-a", 128),
        faces: (0..EACH).map(|k| (Embedding::new(&values(k)).expect("finite"), None)).collect(),
        at: Timestamp::from_millis(1_700_000_000_000),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: run by hand, with --ignored --nocapture"]
async fn a_hundred_thousand_embeddings() {
    let proxy = Proxy::start().await;
    let aws = Aws::new(&fresh(&proxy.address).await).await;
    let store = aws.gallery();
    for chunk in (0..PICTURES).collect::<Vec<_>>().chunks(16) {
        let enrolling = chunk.iter().map(|n| store.enroll(enrollment(*n)));
        futures_util::future::try_join_all(enrolling).await.expect("enrolled");
    }
    let new_cache = || GalleryCache::new(aws.gallery(), ModelId::new("model-a", 128));
    let report = |what: &str, begun: Instant| {
        println!("| {what} | {:.1} ms | {:?} |", begun.elapsed().as_secs_f64() * 1e3, proxy.take_calls());
    };
    proxy.take_calls();
    let begun = Instant::now();
    assert_eq!(new_cache().current().await.expect("the gallery").len(), PICTURES * EACH);
    report("cold, without a snapshot", begun);
    let begun = Instant::now();
    let bytes = store.rebuild_snapshot(&ModelId::new("model-a", 128)).await.expect("packed");
    report(&format!("packing, {bytes:?} bytes"), begun);
    let (begun, cache) = (Instant::now(), new_cache());
    assert_eq!(cache.current().await.expect("the gallery").len(), PICTURES * EACH);
    report("cold, with a snapshot", begun);
    let begun = Instant::now();
    cache.current().await.expect("the gallery");
    report("warm, nothing changed", begun);
    store.enroll(enrollment(PICTURES)).await.expect("enrolled");
    proxy.take_calls();
    let begun = Instant::now();
    assert_eq!(cache.current().await.expect("the gallery").len(), (PICTURES + 1) * EACH);
    report("warm, one picture more", begun);
}
