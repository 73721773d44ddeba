//! The fakes keep the contracts that the adapters keep: what a use case is tested with behaves as what it runs with.

use std::sync::Arc;

use attendance::ports::{EventStore, GalleryStore};
use attendance_testkit::contract::{PushAndWatch, opener};
use attendance_testkit::{FakeEvents, FakeGallery, FakePush, contract};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_gallery_is_a_gallery_store() {
    contract::gallery_store(async || {
        let store = FakeGallery::default();
        opener::<dyn GalleryStore>(move || Arc::new(store.clone()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_outbox_is_an_event_store() {
    contract::event_store(async || {
        let store = FakeEvents::default();
        opener::<dyn EventStore>(move || Arc::new(store.clone()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_push_pushes() {
    contract::push(async || {
        let hub = FakePush::default();
        opener::<dyn PushAndWatch>(move || Arc::new(hub.clone()))
    })
    .await;
}
