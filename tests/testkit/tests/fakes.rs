//! The fakes keep the contracts that the adapters keep: what a use case is tested with behaves as what it runs with.

use std::sync::Arc;

use async_trait::async_trait;
use attendance::ports::{EventStore, GalleryStore, Inbox, InboxKey};
use attendance_testkit::contract::{DropBox, SubscribedPush, opener};
use attendance_testkit::{FakeEvents, FakeGallery, FakePush, contract};
use bytes::Bytes;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_gallery_is_a_gallery_store() {
    contract::gallery_store(async || {
        let store = FakeGallery::default();
        opener::<dyn GalleryStore>(move || Arc::new(store.clone()))
    })
    .await;
}

struct FakeDropBox(FakeGallery);

#[async_trait]
impl DropBox for FakeDropBox {
    fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(self.0.inbox())
    }

    fn gallery(&self) -> Arc<dyn GalleryStore> {
        Arc::new(self.0.clone())
    }

    async fn put(&self, key: &InboxKey, bytes: Bytes) {
        self.0.inbox().put(key, bytes);
    }

    async fn delete(&self, key: &InboxKey) {
        self.0.inbox().delete(key);
    }

    async fn holds(&self, key: &InboxKey) -> bool {
        self.0.inbox().revision(key).await.expect("the fake answers").is_some()
    }

    async fn reported(&self, key: &InboxKey) -> Option<(String, String)> {
        self.0.inbox().reported(key).map(|refusal| (refusal.code.to_string(), refusal.msg))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_inbox_is_an_inbox() {
    contract::inbox(async || Arc::new(FakeDropBox(FakeGallery::default())) as Arc<dyn DropBox>).await;
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
        opener::<dyn SubscribedPush>(move || Arc::new(hub.clone()))
    })
    .await;
}
