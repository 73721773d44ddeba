use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::ports::{GalleryStore, GalleryVersion, StoreError};
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
    /// Returns an empty cache over this store, for embeddings of this model.
    ///
    /// # Panics
    /// If the search is not compiled for the model's dimensions ([`Gallery::holds`]).
    #[must_use]
    pub fn new(store: Arc<dyn GalleryStore>, model: ModelId) -> Self {
        assert!(Gallery::holds(&model), "no search for the {} dimensions of {}", model.dimensions(), model.as_str());
        Self { store, model, gallery: ArcSwap::default(), refresh: Mutex::new(()) }
    }

    /// Returns the gallery with everything that any process acknowledged before this call. Costs one small read if nothing
    /// changed.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer: an old gallery is never passed off as the current one.
    pub async fn current(&self) -> Result<Arc<Gallery>, StoreError> {
        let mut known = self.gallery.load_full();
        let mut refresh = None;
        if *known.version() == GalleryVersion::default() {
            // The first answer is the whole gallery: one call reads it, however many come while it does.
            refresh = Some(self.refresh.lock().await);
            known = self.gallery.load_full();
        }
        let (changes, version) = self.store.changes(known.version(), &self.model).await?;
        if changes.is_empty() && version == *known.version() {
            return Ok(known);
        }
        let _refresh = match refresh {
            Some(refresh) => refresh,
            None => self.refresh.lock().await,
        };
        let latest = self.gallery.load_full();
        // Somebody else may have moved the cache on meanwhile; then these changes have another base.
        let (changes, version) = if latest.version() == known.version() {
            (changes, version)
        } else {
            self.store.changes(latest.version(), &self.model).await?
        };
        // A whole gallery takes a while to pack.
        let packing = tokio::task::spawn_blocking(move || Arc::new(latest.with_changes(changes, version)));
        let next = packing.await.map_err(StoreError::damaged)?;
        self.gallery.store(next.clone());
        Ok(next)
    }
}
