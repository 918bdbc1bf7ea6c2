//! What `sidelong model promote` reads of an evaluation: who was judged, and what the gate said.

use serde::Deserialize;

use super::evaluation::FORMAT;
use super::{Gate, Sides, Verdict};
use crate::model::bundle::Digest;

/// What `sidelong model promote` reads of an evaluation.
#[derive(Clone, Debug, Deserialize)]
pub struct Receipt {
    format: u32,
    verdict: Verdict,
    /// By what it was judged.
    pub gate: Gate,
    models: Sides<Named>,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    candidate: String,
    content: String,
}

/// Why an evaluation does not speak for a candidate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is none.
    #[error("it is no evaluation that `sidelong evaluate --json` wrote: {0}")]
    Json(String),
    /// Another layout.
    #[error("its layout is {0}; this Sidelong reads {FORMAT}. Evaluate again")]
    Format(u32),
    /// The gate said no.
    #[error("its verdict is refuse: the challenger did not pass the gate; the file says where")]
    Refused,
    /// It is about another candidate.
    #[error("it is about another challenger than this candidate")]
    OtherChallenger,
    /// It compares with another champion.
    #[error("it compares with another champion than the one that serves now; evaluate again")]
    OtherChampion,
}

// === impl Receipt ===

impl Receipt {
    /// Reads an evaluation.
    ///
    /// # Errors
    ///
    /// [`ReceiptError::Json`], [`ReceiptError::Format`].
    pub fn read(json: &[u8]) -> Result<Self, ReceiptError> {
        let receipt: Self =
            serde_json::from_slice(json).map_err(|error| ReceiptError::Json(error.to_string()))?;
        if receipt.format == FORMAT { Ok(receipt) } else { Err(ReceiptError::Format(receipt.format)) }
    }

    /// Whether it says that `candidate`, which consists of `challenger`, may take the place of what consists of `champion`.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`].
    pub fn speaks_for(
        &self,
        candidate: Digest,
        challenger: Digest,
        champion: Digest,
    ) -> Result<(), ReceiptError> {
        let Named { candidate: named, content } = &self.models.challenger;
        if *named != candidate.to_string() || *content != challenger.to_string() {
            return Err(ReceiptError::OtherChallenger);
        }
        if self.models.champion.content != champion.to_string() {
            return Err(ReceiptError::OtherChampion);
        }
        match self.verdict {
            Verdict::Promote => Ok(()),
            Verdict::Refuse => Err(ReceiptError::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(verdict: &str, format: u32) -> Result<Receipt, ReceiptError> {
        let [a, b, c] = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let text = format!(
            r#"{{"format":{format},"verdict":"{verdict}","gate":{{}},"models":{{"champion":{{"candidate":"","content":"{a}"}},"challenger":{{"candidate":"{c}","content":"{b}"}}}}}}"#
        );
        Receipt::read(text.as_bytes())
    }

    #[test]
    fn c7_only_an_evaluation_of_these_two_that_passed_speaks_for_a_candidate() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let passed = receipt("promote", FORMAT).unwrap();
        assert_eq!(passed.speaks_for(c, b, a), Ok(()));
        assert_eq!(passed.speaks_for(c, a, a), Err(ReceiptError::OtherChallenger));
        assert_eq!(passed.speaks_for(a, b, a), Err(ReceiptError::OtherChallenger));
        assert_eq!(passed.speaks_for(c, b, b), Err(ReceiptError::OtherChampion));
        assert_eq!(receipt("refuse", FORMAT).unwrap().speaks_for(c, b, a), Err(ReceiptError::Refused));
        assert!(matches!(receipt("perhaps", FORMAT), Err(ReceiptError::Json(_))));
        assert!(matches!(receipt("promote", FORMAT + 1), Err(ReceiptError::Format(2))));
    }
}
