"""Where events come from: pages, views, browsers and apps. Here Flask begins."""
