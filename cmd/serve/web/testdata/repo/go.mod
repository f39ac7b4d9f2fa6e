module innerloop

go 1.26
