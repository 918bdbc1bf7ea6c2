//! Who is champion, as a store says.

use super::client::{Client, Result, TrackingError};
use super::{CHALLENGER, CHAMPION, tag};
use crate::model::registry::Entry;

/// The name of a promotion: the version that it made in the store, and when.
pub fn promotion_id(entry: &Entry) -> String {
    format!("{}-{}", entry.version, entry.at_ms)
}

// === impl Client ===

impl Client {
    /// Puts the alias champion on the version of `candidate`, which became champion by `entry`. Gives that version's number.
    ///
    /// MLflow has no way to move an alias only if it is still where it was: so the version is tagged first with what is done, and the
    /// alias is read again. To do it twice changes nothing.
    ///
    /// # Errors
    ///
    /// MLflow knows no version of the candidate, does not answer, or says afterwards that another one is champion.
    pub async fn crown(&self, model: &str, candidate: &str, entry: &Entry) -> Result<u64> {
        let Some(version) = self.find_version(model, candidate).await? else {
            return Err(TrackingError::Unknown { model: model.to_owned(), candidate: candidate.to_owned() });
        };
        let (number, promotion) = (version.number, promotion_id(entry));
        self.tag_version(model, number, tag::VERSION, &entry.version.to_string()).await?;
        if let Some(evaluation) = &entry.evaluation {
            self.tag_version(model, number, tag::EVALUATION, evaluation).await?;
        }
        self.tag_version(model, number, tag::PROMOTION_ID, &promotion).await?;
        self.set_alias(model, CHAMPION, number).await?;
        let found = self.champion(model).await?;
        if found.number != number || found.tags.get(tag::PROMOTION_ID) != Some(&promotion) {
            return Err(TrackingError::Moved { wanted: number, found: found.number });
        }
        if self.aliases(model).await?.get(CHALLENGER) == Some(&number) {
            self.delete_alias(model, CHALLENGER).await?;
        }
        Ok(number)
    }
}
