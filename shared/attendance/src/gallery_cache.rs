use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::ports::{GalleryStore, StoreError};
use crate::{Gallery, ModelId};

/// The gallery in memory, following its store.
pub struct GalleryCache {
    store: Arc<dyn GalleryStore>,
    model: ModelId,
    gallery: ArcSwap<Gallery>,
    // Held while changes are applied, so that two requests never apply the same changes to different bases.
    refresh: Mutex<()>,
}

impl GalleryCache {
    /// An empty cache over this store, for embeddings of this model.
    #[must_use]
    pub fn new(store: Arc<dyn GalleryStore>, model: ModelId) -> Self {
        Self { store, model, gallery: ArcSwap::default(), refresh: Mutex::new(()) }
    }

    /// The gallery with everything that any process acknowledged before this call. Costs one small read where nothing
    /// changed.
    ///
    /// # Errors
    /// [`StoreError`] where the store does not answer: an old gallery is never passed off as the current one.
    pub async fn current(&self) -> Result<Arc<Gallery>, StoreError> {
        let known = self.gallery.load_full();
        let (changes, version) = self.store.changes(known.version(), &self.model).await?;
        if changes.is_empty() && version == *known.version() {
            return Ok(known);
        }
        let _refresh = self.refresh.lock().await;
        let latest = self.gallery.load_full();
        // Somebody else may have moved the cache on meanwhile; then these changes have another base.
        let (changes, version) = if latest.version() == known.version() {
            (changes, version)
        } else {
            self.store.changes(latest.version(), &self.model).await?
        };
        let next = Arc::new(latest.with_changes(changes, version));
        self.gallery.store(next.clone());
        Ok(next)
    }
}
