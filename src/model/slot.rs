//! The slot that holds the serving model.
//!
//! The writer's side is [`ModelSlot`]; scorers get a [`ModelHandle`], which can only read. A batch loads
//! the model once, so that it is scored by one version from its first series to its last.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Model;

/// Swaps the serving model.
#[derive(Debug)]
pub struct ModelSlot {
    current: Arc<ArcSwap<Model>>,
}

/// Reads the serving model.
#[derive(Clone, Debug)]
pub struct ModelHandle {
    current: Arc<ArcSwap<Model>>,
}

// === impl ModelSlot ===

impl ModelSlot {
    /// A slot that serves `model`.
    pub fn new(model: impl Into<Arc<Model>>) -> Self {
        Self { current: Arc::new(ArcSwap::new(model.into())) }
    }

    /// Serves `model` from the next batch on. Batches under way finish with the one they loaded, which
    /// is freed after the last of them.
    pub fn swap(&self, model: impl Into<Arc<Model>>) -> Arc<Model> {
        self.current.swap(model.into())
    }

    /// A reader of this slot.
    pub fn handle(&self) -> ModelHandle {
        ModelHandle { current: Arc::clone(&self.current) }
    }
}

// === impl ModelHandle ===

impl ModelHandle {
    /// The serving model. Call it once for a batch, never for a sample.
    #[inline]
    pub fn current(&self) -> Arc<Model> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_the_model_it_loaded() {
        let slot = ModelSlot::new(Model::builtin());
        let handle = slot.handle();
        let loaded = handle.current();
        slot.swap(Model { version: "next".into(), ..Model::builtin() });
        assert_eq!(loaded.version, "builtin-2");
        assert_eq!(handle.current().version, "next");
    }

    #[test]
    fn the_old_model_is_freed_after_its_last_user() {
        let slot = ModelSlot::new(Model::builtin());
        let loaded = slot.handle().current();
        let old = slot.swap(Model::builtin());
        drop(old);
        assert_eq!(Arc::strong_count(&loaded), 1);
    }
}
