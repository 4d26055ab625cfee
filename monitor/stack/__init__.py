"""`make stack`: the services of docker-compose.monitoring.yml as processes of this machine, all but Grafana.

Commands, environment and files are those of the compose file, with this machine's folders and ports in them;
nothing else is changed.
"""
