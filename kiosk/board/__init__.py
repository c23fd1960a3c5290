"""What staff look at: a web page and a terminal pager over the same MQTT; it alone imports Starlette, uvicorn and Rich."""
