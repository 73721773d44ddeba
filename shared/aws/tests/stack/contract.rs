use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use attendance::ports::{EventStore, GalleryStore};
use attendance_aws::Aws;
use attendance_testkit::contract::{event_store, gallery_store, opener};

use crate::storage::{fresh, stack};

/// Clients that share nothing but the table and the bucket, as containers do, handed out in turn.
async fn containers() -> impl Fn() -> Aws + Send + Sync {
    let settings = fresh(&stack()).await;
    let made = [Aws::new(&settings).await, Aws::new(&settings).await, Aws::new(&settings).await];
    let turn = AtomicUsize::new(0);
    move || made[turn.fetch_add(1, Ordering::Relaxed) % made.len()].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gallery_is_a_gallery_store() {
    gallery_store(async || {
        let open = containers().await;
        opener::<dyn GalleryStore>(move || open().gallery() as Arc<dyn GalleryStore>)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_is_an_event_store() {
    event_store(async || {
        let open = containers().await;
        opener::<dyn EventStore>(move || open().events() as Arc<dyn EventStore>)
    })
    .await;
}
