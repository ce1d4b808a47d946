//! Facebook Messenger.

use crate::{
    contract::{About, Credential},
    family::messenger::{Messenger, Product, RETRY},
};

pub(crate) static FACEBOOK: Messenger = Messenger {
    about: About {
        name: "facebook",
        title: "Facebook Messenger",
        credentials: &[
            Credential { key: "access_token", default: "EAAsimulated", purpose: "the page's token" },
            Credential { key: "page_id", default: "300000000000001", purpose: "the page" },
            Credential {
                key: "app_secret",
                default: "sim-app-secret",
                purpose: "signs webhooks; makes appsecret_proof",
            },
            Credential {
                key: "verify_token",
                default: "sim-verify-token",
                purpose: "shown in the webhook's handshake",
            },
            Credential { key: "app_id", default: "400000000000001", purpose: "in echoes" },
            Credential {
                key: "demand_proof",
                default: "",
                purpose: "\"yes\": calls without appsecret_proof are refused",
            },
        ],
        batch_max: 1_000,
        retry: RETRY,
        polls: false,
        customer: "7700112233",
    },
    product: Product::Facebook,
};
