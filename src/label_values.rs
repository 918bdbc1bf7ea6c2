//! The labels of our own metrics have values of closed enums only, each in snake_case.

/// Declares an enum of the values of one label, each with the text that stands for it on the page of metrics.
macro_rules! label_values {
    ($(#[$about:meta])* $vis:vis enum $name:ident {
        $($(#[$meaning:meta])* $variant:ident = $text:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name {
            $($(#[$meaning])* $variant,)*
        }

        impl $name {
            /// Every value, in order.
            $vis const ALL: [Self; [$($text),*].len()] = [$(Self::$variant),*];

            /// The text that stands for the value.
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl prometheus_client::encoding::EncodeLabelValue for $name {
            fn encode(
                &self,
                encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> std::fmt::Result {
                prometheus_client::encoding::EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    };
}

pub(crate) use label_values;
