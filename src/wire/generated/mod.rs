// Generated from proto/ by `cargo run -p xtask -- generate`. Do not edit.
//! Messages of `proto/`, one module for each package.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::use_self)]
#![allow(rustdoc::invalid_html_tags, rustdoc::broken_intra_doc_links)]

pub mod google {
    pub mod protobuf {
        include!("google.protobuf.rs");
    }
}
pub mod io {
    pub mod prometheus {
        pub mod client {
            include!("io.prometheus.client.rs");
        }
        pub mod write {
            pub mod v2 {
                include!("io.prometheus.write.v2.rs");
            }
        }
    }
}
pub mod prometheus {
    include!("prometheus.rs");
}
pub mod sidelong {
    pub mod model {
        pub mod v1 {
            include!("sidelong.model.v1.rs");
        }
    }
}
